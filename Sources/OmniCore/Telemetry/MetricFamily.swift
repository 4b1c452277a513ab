/// What is measured under one name: the contract with dashboards and alert rules.
public struct MetricFamily: Sendable, Hashable {
    public enum Kind: String, Sendable {
        case counter, gauge, histogram, summary
    }

    /// Without the `_total` that counters carry in their series.
    public let name: String
    public let kind: Kind
    public let help: String
    public let labels: [String]

    public init(_ name: String, _ kind: Kind, _ help: String, labels: [String] = []) {
        self.name = name
        self.kind = kind
        self.help = help
        self.labels = labels
    }

    /// As Prometheus knows it.
    public var seriesName: String { kind == .counter ? name + "_total" : name }
}

/// Values of a family's labels, in its order, and their text made once.
public struct MetricLabels: Sendable, Hashable {
    public let names: [String]
    public let values: [String]
    /// `mcp="time",status="ok"`, escaped as both text formats want it; empty without labels.
    public let text: String

    public init(_ family: MetricFamily, _ values: [String]) {
        precondition(
            family.labels.count == values.count, "\(family.name) has other labels than these")
        names = family.labels
        self.values = values
        text = zip(family.labels, values).map { "\($0)=\"\(Self.escaped($1))\"" }
            .joined(separator: ",")
    }

    public static func == (left: Self, right: Self) -> Bool { left.text == right.text }
    public func hash(into hasher: inout Hasher) { hasher.combine(text) }

    private static func escaped(_ value: String) -> String {
        guard value.utf8.contains(where: { $0 == 0x5C || $0 == 0x22 || $0 == 0x0A }) else {
            return value
        }
        var text = ""
        for character in value.unicodeScalars {
            switch character {
            case "\\": text += "\\\\"
            case "\"": text += "\\\""
            case "\n": text += "\\n"
            default: text.unicodeScalars.append(character)
            }
        }
        return text
    }
}

/// Where measurements are told: a scrape's text, or an export.
public protocol MetricSink {
    /// What follows belongs to this family. Each family begins once.
    mutating func begin(_ family: MetricFamily)
    /// A counter's or gauge's value.
    mutating func value(_ value: Double, _ labels: MetricLabels?)
    mutating func histogram(_ histogram: Histogram, _ labels: MetricLabels?)
    mutating func summary(_ summary: RecentQuantiles, _ labels: MetricLabels?)
}

extension MetricSink {
    public mutating func only(_ family: MetricFamily, _ value: Double) {
        begin(family)
        self.value(value, nil)
    }

    public mutating func only(_ family: MetricFamily, _ value: some BinaryInteger) {
        only(family, Double(value))
    }
}

/// The quantiles of every summary here.
public let summaryQuantiles: [Double] = [0.5, 0.9, 0.99]
