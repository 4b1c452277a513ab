/// How a message travels where a line is a message: pipes of a child, the socket of a unit.
enum MessageLine {
    static func make(_ message: [UInt8]) -> [UInt8] {
        var line = message
        // Messages from elsewhere may be written over several lines.
        for index in line.indices where line[index] == 10 || line[index] == 13 {
            line[index] = UInt8(ascii: " ")
        }
        line.append(10)
        return line
    }
}

extension UpstreamSink {
    func receivedLine(_ line: [UInt8]) {
        // Whatever prints to standard output by accident does not begin like a message.
        let first = line.first { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }
        if first == UInt8(ascii: "{") || first == UInt8(ascii: "[") {
            received(line, on: nil)
        } else {
            receivedGarbage(line)
        }
    }
}
