import OmniCore

/// Bytes with the look-ups under test, so that stories read without spans.
struct TestText {
    let bytes: [UInt8]

    init(_ text: String) { bytes = Array(text.utf8) }
    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var whole: ByteRange { ByteRange(offset: 0, count: bytes.count) }

    func validated(depthMax: Int = JSONScanner.depthMax) throws(JSONError) -> ByteRange {
        try bytes.withRawSpan { span throws(JSONError) in
            try JSONScanner.validate(span, depthMax: depthMax)
        }
    }

    var failure: JSONError? {
        do throws(JSONError) {
            _ = try validated()
            return nil
        } catch {
            return error
        }
    }

    func with<Value>(_ body: (RawSpan) -> Value) -> Value { bytes.withRawSpan(body) }

    func text(_ range: ByteRange?) -> String? {
        range.map { range in with { $0.string(range) } }
    }

    func member(_ name: StaticString, of range: ByteRange? = nil) -> String? {
        text(with { JSONScanner.member(name, of: range ?? whole, in: $0) })
    }
}

/// Seeds for random tests; a failing one is named by the test's arguments.
let testSeeds: [UInt64] = [1, 2, 3, 0xC0FFEE, 0xDEAD_BEEF]
