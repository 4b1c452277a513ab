/// Like `precondition`, but says what was wrong in optimised builds too.
func require(_ condition: Bool, _ message: @autoclosure () -> String = "broken promise") {
    if !condition { fatalError(message()) }
}
