/// Who somebody is to the flows: the one place that asks `Access` about it.
extension Principal {
    /// The row of `users` that flows are kept under; 0 for whoever has none: the operator.
    var flowUser: Int { userID ?? 0 }

    /// One's own flows, and those of everybody for operators.
    func mayWatchFlow(of user: Int) -> Bool { isOperator || user == flowUser }
}
