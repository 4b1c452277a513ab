/// What was wrong with a JSON text, where, and what should have stood there.
///
/// The caller answers it to its own peer (JSON-RPC -32700, HTTP 400, a configuration message): the
/// offset counts bytes from the start of the buffer that was handed in.
public struct JSONError: Error, Hashable, Sendable {
    public enum Expected: UInt8, Hashable, Sendable {
        /// A value should begin here.
        case value
        /// `"name"` or `}` should stand here.
        case memberNameOrEnd
        /// `"name"` should stand here: a comma was before it.
        case memberName
        case colon
        /// `,` or `}` should stand here.
        case commaOrObjectEnd
        /// `,` or `]` should stand here.
        case commaOrArrayEnd
        case digit
        case hexDigit
        /// One of `"\/bfnrtu` should follow the backslash.
        case escape
        /// A high surrogate needs its low half as the next escape; a low one may not stand alone.
        case surrogatePair
        /// A control character stands unescaped inside a string.
        case printableCharacter
        case wellFormedUTF8
        case stringEnd
        /// More bytes follow the value.
        case endOfInput
        /// Nested deeper than the caller allows.
        case lessDepth
        /// Longer than the caller allows.
        case fewerBytes
        /// More members or elements than the caller allows.
        case fewerValues
    }

    public var offset: Int
    public var expected: Expected

    public init(offset: Int, expected: Expected) {
        self.offset = offset
        self.expected = expected
    }
}

extension JSONError: CustomStringConvertible {
    public var description: String { "at byte \(offset): expected \(expected.sentence)" }
}

extension JSONError.Expected {
    /// The words for a person, after "expected".
    public var sentence: StaticString {
        switch self {
        case .value: "a value"
        case .memberNameOrEnd: "a member name or '}'"
        case .memberName: "a member name"
        case .colon: "':'"
        case .commaOrObjectEnd: "',' or '}'"
        case .commaOrArrayEnd: "',' or ']'"
        case .digit: "a digit"
        case .hexDigit: "a hexadecimal digit"
        case .escape: "one of \"\\/bfnrtu after the backslash"
        case .surrogatePair: "a surrogate pair"
        case .printableCharacter: "no unescaped control character"
        case .wellFormedUTF8: "well-formed UTF-8"
        case .stringEnd: "a closing quote"
        case .endOfInput: "the end of the text"
        case .lessDepth: "less nesting"
        case .fewerBytes: "a shorter text"
        case .fewerValues: "fewer values"
        }
    }
}
