internal import CShims.Linux
internal import Glibc

/// Which system call failed, and how. The caller decides what it means; this layer never logs.
public struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
    public let call: StaticString
    /// Positive errno value.
    public let code: Int32

    public init(_ call: StaticString, _ code: Int32) {
        self.call = call
        self.code = code < 0 ? -code : code
    }

    public static func == (left: Self, right: Self) -> Bool {
        left.code == right.code && left.call.description == right.call.description
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(code) }

    public var message: String {
        guard let text = unsafe strerror(code) else { return "error \(code)" }
        return unsafe String(cString: text)
    }

    public var description: String { "\(call): \(message)" }

    public var isTimeout: Bool { code == ETIMEDOUT }

    /// The same call may succeed in a moment.
    public var isTemporary: Bool { code == EAGAIN || code == ENOBUFS }
    /// ENOENT: no file, no socket of that name.
    public var isMissing: Bool { code == ENOENT }
}
