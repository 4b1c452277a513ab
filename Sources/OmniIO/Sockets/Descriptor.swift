internal import CShims.Linux
internal import Glibc

/// Owner of one file descriptor: closes it, unless it was given away.
public struct Descriptor: ~Copyable {
    public let raw: Int32

    public init(_ raw: Int32) {
        precondition(raw >= 0, "a descriptor is not negative")
        self.raw = raw
    }

    deinit { Glibc.close(raw) }

    public consuming func take() -> Int32 {
        let raw = raw
        discard self
        return raw
    }
}
