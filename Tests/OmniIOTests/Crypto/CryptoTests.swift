import OmniCore
import OmniIO
import Testing

@Suite("Crypto")
struct CryptoTests {
    /// RFC 4231, test case 2.
    @Test func hmacIsThatOfTheStandard() {
        let digest = Digest.hmacSHA256(
            Array("what do ya want for nothing?".utf8), key: Array("Jefe".utf8))
        #expect(
            hex(digest) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    }

    /// RFC 7515, appendix A.2 and A.3.
    @Test func signaturesOfTheStandardAreRight() throws {
        let rsa = try #require(
            SignatureKey(
                modulus: bytes(
                    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
                ), exponent: bytes("AQAB")))
        let signed = Array(
            "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
                .utf8)
        let signature = bytes(
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
        )
        #expect(rsa.verifies(signature, of: signed))
        #expect(!rsa.verifies(signature, of: signed + [0]))
        #expect(!rsa.verifies(Array(signature.dropLast()), of: signed))
        #expect(!rsa.verifies([], of: signed))
        let point = try #require(
            SignatureKey(
                x: bytes("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
                y: bytes("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")))
        let text = Array(
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
                .utf8)
        let pair = bytes(
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
        )
        #expect(point.verifies(pair, of: text))
        #expect(!point.verifies(pair, of: text + [0]))
        #expect(!point.verifies([UInt8](repeating: 0, count: 64), of: text))
    }

    @Test func whatIsNoKeyIsRefused() {
        #expect(SignatureKey(modulus: [1, 2, 3], exponent: [1, 0, 1]) == nil)
        #expect(
            SignatureKey(x: [UInt8](repeating: 1, count: 32), y: [UInt8](repeating: 2, count: 32))
                == nil)
        #expect(SignatureKey(x: [], y: []) == nil)
    }

    @Test func passwordsAreToldFromOneAnother() {
        let hash = PasswordHash.make("correct horse")
        #expect(hash.hasPrefix("$scrypt$ln=15,r=8,p=1$"))
        #expect(PasswordHash.verify("correct horse", against: hash))
        #expect(!PasswordHash.verify("Correct horse", against: hash))
        #expect(PasswordHash.make("correct horse") != hash)
    }

    @Test(arguments: [
        "", "$2b$12$abcdefghijklmnopqrstuv", "$scrypt$ln=40,r=8,p=1$AAAA$AAAA", "$scrypt$$$",
        "$scrypt$ln=15,r=8,p=1$!$!",
    ])
    func hashesOfOtherKindsAreWrong(stored: String) {
        #expect(!PasswordHash.verify("x", against: stored))
    }

    private func hex(_ bytes: [UInt8]) -> String {
        var writer = ByteWriter(capacity: 128)
        bytes.withRawSpan { Hex.encode($0, into: &writer) }
        return writer.string()
    }

    private func bytes(_ text: String) -> [UInt8] {
        var writer = ByteWriter(capacity: 1024)
        _ = Array(text.utf8).withRawSpan { span in
            Base64.decode(
                span, ByteRange(offset: 0, count: span.byteCount), as: .urlSafe, into: &writer)
        }
        return writer.array()
    }
}
