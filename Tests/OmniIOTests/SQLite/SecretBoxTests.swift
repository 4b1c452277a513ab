import OmniIO
import Testing

@Suite("SecretBox")
struct SecretBoxTests {
    private let box = SecretBox(key: [UInt8](0..<32))!

    @Test(arguments: [0, 1, 2, 3, 15, 16, 17, 1000])
    func whatIsSealedOpens(count: Int) {
        let plain = String(repeating: "ä", count: count)
        let sealed = box.sealText(plain, for: "here")
        #expect(box.openText(sealed, for: "here") == plain)
        #expect(sealed != box.sealText(plain, for: "here"))
    }

    @Test func anotherKeyOrPlaceOpensNothing() {
        let sealed = box.sealText("secret", for: "here")
        #expect(SecretBox(key: [UInt8](1..<33))!.openText(sealed, for: "here") == nil)
        #expect(box.openText(sealed, for: "there") == nil)
    }

    @Test func everyChangedByteIsNoticed() {
        let sealed = box.seal(Array("secret".utf8), for: "here")
        for index in sealed.indices {
            var changed = sealed
            changed[index] ^= 1
            #expect(box.open(changed, for: "here") == nil)
            #expect(box.open(Array(sealed[..<index]), for: "here") == nil)
        }
    }

    @Test(arguments: ["", "A", "====", "not base64!!", "AAAA"])
    func whatWasNeverSealedOpensNothing(text: String) {
        #expect(box.openText(text, for: "here") == nil)
    }

    @Test(arguments: [0, 16, 31, 33])
    func aKeyOfAnotherLengthIsRefused(count: Int) {
        #expect(SecretBox(key: [UInt8](repeating: 7, count: count)) == nil)
    }
}
