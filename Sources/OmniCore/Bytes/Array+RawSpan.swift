extension [UInt8] {
    /// Lends the bytes as a span. For arrays that are stored in a class, whose own `span` cannot
    /// outlive the access to the property.
    @inlinable
    public func withRawSpan<Value, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        let copy = self
        return try body(unsafe copy.span.bytes)
    }
}
