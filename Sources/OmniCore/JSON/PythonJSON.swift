/// The text Python's `json.dumps(value, sort_keys=True)` makes of a value, from which the original
/// derives its cache keys.
public enum PythonJSON {
    /// Appends the text of a validated value.
    public static func append(
        _ value: ByteRange, in bytes: RawSpan, to text: inout [UInt8]
    ) {
        var canonicalizer = JSONCanonicalizer()
        canonicalizer.append(value, in: bytes, as: .python, to: &text)
    }
}
