internal import CShims.OpenSSL

/// Encrypts small secrets at rest: AES-256-GCM, a fresh nonce for each.
///
/// A sealed secret is nonce (12 bytes), ciphertext, tag (16 bytes). Text that names the place of the
/// secret is authenticated with it, so that a sealed value cannot be moved elsewhere.
public struct SecretBox: Sendable {
    public static let keyBytes = 32
    private static let nonceBytes = 12
    private static let tagBytes = 16

    private let key: [UInt8]

    /// Nil when the key is not of 32 bytes.
    public init?(key: [UInt8]) {
        guard key.count == Self.keyBytes else { return nil }
        self.key = key
    }

    public func seal(_ plain: [UInt8], for place: String) -> [UInt8] {
        var nonce = [UInt8](repeating: 0, count: Self.nonceBytes)
        precondition(
            unsafe RAND_bytes(&nonce, Int32(nonce.count)) == 1, "the system has no random numbers")
        let context = unsafe EVP_CIPHER_CTX_new()
        defer { unsafe EVP_CIPHER_CTX_free(context) }
        var sealed = [UInt8](repeating: 0, count: plain.count)
        var tag = [UInt8](repeating: 0, count: Self.tagBytes)
        let associated = Array(place.utf8)
        var count: Int32 = 0
        let isSealed =
            unsafe EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), nil, key, nonce) == 1
            && EVP_EncryptUpdate(context, nil, &count, associated, Int32(associated.count)) == 1
            && EVP_EncryptUpdate(context, &sealed, &count, plain, Int32(plain.count)) == 1
            && EVP_EncryptFinal_ex(context, &tag, &count) == 1
            && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(tag.count), &tag) == 1
        precondition(isSealed, "OpenSSL has no AES-256-GCM")
        return nonce + sealed + tag
    }

    /// Nil when it was sealed with another key, for another place, or was changed.
    public func open(_ sealed: [UInt8], for place: String) -> [UInt8]? {
        guard sealed.count >= Self.nonceBytes + Self.tagBytes else { return nil }
        let nonce = Array(sealed.prefix(Self.nonceBytes))
        var tag = Array(sealed.suffix(Self.tagBytes))
        let body = Array(sealed.dropFirst(Self.nonceBytes).dropLast(Self.tagBytes))
        let context = unsafe EVP_CIPHER_CTX_new()
        defer { unsafe EVP_CIPHER_CTX_free(context) }
        var plain = [UInt8](repeating: 0, count: body.count)
        var rest = [UInt8](repeating: 0, count: Self.tagBytes)
        let associated = Array(place.utf8)
        var count: Int32 = 0
        let isOpened =
            unsafe EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), nil, key, nonce) == 1
            && EVP_DecryptUpdate(context, nil, &count, associated, Int32(associated.count)) == 1
            && EVP_DecryptUpdate(context, &plain, &count, body, Int32(body.count)) == 1
            && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(tag.count), &tag) == 1
            && EVP_DecryptFinal_ex(context, &rest, &count) == 1
        return isOpened ? plain : nil
    }

    /// Sealed, as base64 text.
    public func sealText(_ plain: String, for place: String) -> String {
        let sealed = seal(Array(plain.utf8), for: place)
        var text = [UInt8](repeating: 0, count: (sealed.count + 2) / 3 * 4 + 1)
        let count = unsafe EVP_EncodeBlock(&text, sealed, Int32(sealed.count))
        return String(decoding: text.prefix(Int(count)), as: UTF8.self)
    }

    public func openText(_ text: String, for place: String) -> String? {
        let encoded = Array(text.utf8)
        guard !encoded.isEmpty, encoded.count % 4 == 0 else { return nil }
        var sealed = [UInt8](repeating: 0, count: encoded.count / 4 * 3)
        let count = unsafe EVP_DecodeBlock(&sealed, encoded, Int32(encoded.count))
        guard count >= 0 else { return nil }
        // It counts the padding as bytes.
        let padding = encoded.suffix(2).count { $0 == UInt8(ascii: "=") }
        guard let plain = open(Array(sealed.prefix(Int(count) - padding)), for: place) else {
            return nil
        }
        return String(validating: plain, as: UTF8.self)
    }
}
