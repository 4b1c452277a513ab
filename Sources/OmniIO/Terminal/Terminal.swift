internal import CShims.Terminal
internal import Glibc

/// The terminal of the person who runs a command: its size, and its keys.
public enum Terminal {
    public struct Size: Hashable, Sendable {
        public var columns: Int
        public var rows: Int
    }

    /// Of standard output; nil where that is no terminal, or one that does not know its size.
    public static var size: Size? {
        var (columns, rows): (UInt32, UInt32) = (0, 0)
        let status = unsafe omni2_terminal_size(1, &columns, &rows)
        guard status == 0, columns > 0, rows > 0 else { return nil }
        return Size(columns: Int(columns), rows: Int(rows))
    }
}

/// The keys of standard input, one by one and unseen, until `giveBack`.
public final class TerminalKeys {
    public static let descriptor: Int32 = 0
    private var before: termios
    private var isTaken = true

    /// Nil where standard input is no terminal.
    public init?() {
        var before = termios()
        guard unsafe omni2_terminal_take_keys(Self.descriptor, &before) == 0 else { return nil }
        self.before = before
    }

    /// The next key that was pressed; nil when there is none.
    public func next() -> UInt8? {
        var key: UInt8 = 0
        return unsafe read(Self.descriptor, &key, 1) == 1 ? key : nil
    }

    /// The terminal as it was.
    public func giveBack() {
        guard isTaken else { return }
        isTaken = false
        // A terminal that is gone needs nothing back.
        _ = unsafe omni2_terminal_restore(Self.descriptor, &before)
    }

    deinit { giveBack() }
}
