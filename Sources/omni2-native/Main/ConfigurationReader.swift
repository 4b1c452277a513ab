import OmniIO

/// One row of the table of settings: what a key is called, what it may be, what it is for, and what
/// it is now. The command's help, the man page and the report on unknown keys are made from it.
struct ConfigurationRow: Hashable {
    /// Whether a reload can change it, or only a restart.
    enum Change: Hashable { case live, restart }

    var section: String
    var key: String
    /// `number`, `size`, `time span`, `yes or no`, …
    var kind: String
    var defaultText: String
    /// `1 … 65536`; empty where nothing bounds it.
    var bounds: String
    var change: Change
    var help: String
    /// The credential that may carry the value instead of a file.
    var credential: String?
    /// The value in force, secrets masked.
    var text: String
    var origin: ConfigurationSources.Origin

    var name: String { ConfigurationSources.name(section, key) }
}

/// Declares each setting and reads it in the same line, so that there is one table and nothing to
/// keep in step:
///
///     entriesMax = read.count("MaxEntries", 1000, in: 1...10_000_000, "Tool results kept.")
///
/// A value that cannot be used is reported and the default stands in, so that reading goes on and
/// finds the other problems too.
struct ConfigurationReader {
    typealias Change = ConfigurationRow.Change

    let sources: ConfigurationSources
    private(set) var rows: [ConfigurationRow] = []
    private(set) var problems: [ConfigurationProblem] = []
    private var section = ""

    init(_ sources: ConfigurationSources, problems: [ConfigurationProblem] = []) {
        self.sources = sources
        self.problems = problems
    }

    mutating func begin(_ section: String) { self.section = section }

    // MARK: Kinds of value

    mutating func count(
        _ key: String, _ standard: Int, in bounds: ClosedRange<Int>, _ help: String,
        _ change: Change = .restart
    ) -> Int {
        single(
            key, standard, kind: "number", bounds: "\(bounds.lowerBound) … \(bounds.upperBound)",
            help, change, text: { "\($0)" },
            parse: ConfigurationText.count, isAllowed: bounds.contains)
    }

    mutating func size(
        _ key: String, _ standard: Int, in bounds: ClosedRange<Int>, _ help: String,
        _ change: Change = .restart
    ) -> Int {
        let text = { ConfigurationText.text(size: $0) }
        return single(
            key, standard, kind: "size",
            bounds: "\(text(bounds.lowerBound)) … \(text(bounds.upperBound))",
            help, change, text: text,
            parse: ConfigurationText.size, isAllowed: bounds.contains)
    }

    mutating func span(
        _ key: String, _ standard: Duration, in bounds: ClosedRange<Duration>,
        _ help: String, _ change: Change = .restart
    ) -> Duration {
        single(
            key, standard, kind: "time span", bounds: Self.text(bounds), help, change,
            text: { ConfigurationText.text($0) },
            parse: ConfigurationText.timeSpan, isAllowed: bounds.contains)
    }

    mutating func truth(
        _ key: String, _ standard: Bool, _ help: String, _ change: Change = .restart
    ) -> Bool {
        single(
            key, standard, kind: "yes or no", bounds: "", help, change,
            text: { $0 ? "yes" : "no" }, parse: ConfigurationText.truth)
    }

    mutating func text(
        _ key: String, _ standard: String, _ help: String, _ change: Change = .restart
    ) -> String {
        single(
            key, standard, kind: "text", bounds: "", help, change, text: { $0 }, parse: { $0 })
    }

    /// A part of the whole, from 0 to 1.
    mutating func ratio(
        _ key: String, _ standard: Double, _ help: String, _ change: Change = .restart
    ) -> Double {
        single(
            key, standard, kind: "number", bounds: "0 to 1", help, change, text: { "\($0)" },
            parse: { text in Double(text).flatMap { (0...1).contains($0) ? $0 : nil } })
    }

    /// One of some words.
    mutating func choice<Value: RawRepresentable<String> & CaseIterable & Sendable>(
        _ key: String, _ standard: Value, _ help: String, _ change: Change = .restart
    ) -> Value {
        let words = Value.allCases.map(\.rawValue).joined(separator: ", ")
        return single(
            key, standard, kind: "word", bounds: words, help, change, text: { $0.rawValue },
            parse: { Value(rawValue: $0.lowercased()) })
    }

    mutating func level(
        _ key: String, _ standard: LogLevel, _ help: String, _ change: Change = .restart
    ) -> LogLevel {
        let words = LogLevel.allCases.map(\.name).joined(separator: ", ")
        return single(
            key, standard, kind: "word", bounds: words, help, change, text: { $0.name },
            parse: { LogLevel(name: $0) })
    }

    /// An absolute path; empty means none.
    mutating func path(
        _ key: String, _ standard: String?, shown: String = "", _ help: String,
        _ change: Change = .restart
    ) -> String? {
        let path = single(
            key, standard ?? "", kind: "absolute path", bounds: "", shown: shown, help, change,
            text: { $0 }, parse: { $0 }, isAllowed: { $0.isEmpty || $0.hasPrefix("/") })
        return path.isEmpty ? nil : path
    }

    /// A text that is nobody's business: best given as a credential.
    mutating func secret(
        _ key: String, credential: String, _ help: String, _ change: Change = .restart,
        isAllowed: (String) -> Bool = { _ in true }, expected: String = "text"
    ) -> Secret? {
        let origin = sources.origin(section, key, credential: credential)
        var value = Secret("")
        switch origin {
        case .default: break
        case .assignments(let list): value = Secret(list.last?.value ?? "")
        case .environment(_, let text): value = Secret(text)
        case .credential(_, let secret): value = secret
        }
        if !value.isEmpty, !isAllowed(value.revealed) {
            report(origin.place, key, nil, "is not \(expected)", "write \(expected)")
            value = Secret("")
        }
        add(
            key, "secret", "", "", help, change, value.isEmpty ? "" : Secret.mask, origin,
            credential: credential)
        return value.isEmpty ? nil : value
    }

    /// Words separated by blanks; assignments append, an empty one begins anew.
    mutating func list<Value>(
        _ key: String, _ standard: [Value], shown: String? = nil, kind: String,
        bounds: String = "", _ help: String, _ change: Change = .restart,
        text: (Value) -> String, parse: (String) -> Value?
    ) -> [Value] {
        let origin = sources.origin(section, key)
        var values: [Value] = []
        for one in Self.assigned(origin) {
            let words = one.value.split(whereSeparator: \.isWhitespace).map(String.init)
            if words.isEmpty { values = [] }
            for word in words {
                if let value = parse(word) {
                    values.append(value)
                } else {
                    reportValue(one.place, key, word, kind, bounds)
                }
            }
        }
        if case .default = origin { values = standard }
        let shownDefault = shown ?? standard.map(text).joined(separator: " ")
        add(
            key, "list: \(kind)", shownDefault, bounds, help, change,
            values.map(text).joined(separator: " "), origin)
        return values
    }

    mutating func words(
        _ key: String, _ help: String, _ change: Change = .restart, kind: String,
        isAllowed: (String) -> Bool
    ) -> [String] {
        list(
            key, [], kind: kind, help, change, text: { $0 }, parse: { isAllowed($0) ? $0 : nil })
    }

    mutating func spans(
        _ key: String, _ standard: [Duration], in bounds: ClosedRange<Duration>,
        _ help: String, _ change: Change = .restart
    ) -> [Duration] {
        list(
            key, standard, kind: "time span", bounds: Self.text(bounds), help, change,
            text: { ConfigurationText.text($0).filter { $0 != " " } },
            parse: { text in
                ConfigurationText.timeSpan(text).flatMap { bounds.contains($0) ? $0 : nil }
            })
    }

    // MARK: Relations between settings

    /// Two settings that are fine alone and make no sense together.
    mutating func require(
        _ holds: Bool, _ section: String, _ key: String, _ what: String, _ remedy: String
    ) {
        if holds { return }
        let name = ConfigurationSources.name(section, key)
        let row = rows.first { $0.name == name }
        problems.append(
            ConfigurationProblem(
                place: row?.origin.place ?? "default", subject: "\(name)\(row?.text ?? "")",
                what: what, remedy: remedy))
    }

    // MARK: Reading one key

    private mutating func single<Value>(
        _ key: String, _ standard: Value, kind: String, bounds: String, shown: String = "",
        _ help: String, _ change: Change, text: (Value) -> String, parse: (String) -> Value?,
        isAllowed: (Value) -> Bool = { _ in true }
    ) -> Value {
        let origin = sources.origin(section, key)
        var value = standard
        // An empty assignment takes back the ones before it: the default is in force again.
        if let last = Self.assigned(origin).last, !last.value.isEmpty {
            if let parsed = parse(last.value), isAllowed(parsed) {
                value = parsed
            } else {
                reportValue(last.place, key, last.value, kind, bounds)
            }
        }
        add(
            key, kind, shown.isEmpty ? text(standard) : shown, bounds, help, change, text(value),
            origin)
        return value
    }

    private static func assigned(
        _ origin: ConfigurationSources.Origin
    ) -> [ConfigurationSources.Origin.Assigned] {
        switch origin {
        case .default: []
        case .assignments(let list): list
        case .environment(_, let text): [.init(value: text, place: origin.place)]
        case .credential(_, let secret): [.init(value: secret.revealed, place: origin.place)]
        }
    }

    private mutating func add(
        _ key: String, _ kind: String, _ defaultText: String, _ bounds: String, _ help: String,
        _ change: Change, _ text: String, _ origin: ConfigurationSources.Origin,
        credential: String? = nil
    ) {
        rows.append(
            ConfigurationRow(
                section: section, key: key, kind: kind, defaultText: defaultText, bounds: bounds,
                change: change, help: help, credential: credential, text: text, origin: origin))
    }

    private mutating func reportValue(
        _ place: String, _ key: String, _ value: String, _ kind: String, _ bounds: String
    ) {
        let article = kind.first.map { "aeiou".contains($0) ? "an" : "a" } ?? "a"
        let isOfKind: Bool
        switch kind {
        case "number": isOfKind = ConfigurationText.count(value) != nil
        case "size": isOfKind = ConfigurationText.size(value) != nil
        case "time span": isOfKind = ConfigurationText.timeSpan(value) != nil
        default: isOfKind = false
        }
        let what =
            switch kind {
            case _ where isOfKind: "is out of range"
            case "word": "is not one of the known words"
            case "yes or no": "is neither yes nor no"
            default: "is not \(article) \(kind)"
            }
        let remedy =
            switch kind {
            case "word": "write one of: \(bounds)"
            case "yes or no": "write yes or no"
            case "number": "write a whole number, \(bounds)"
            case "size": "write a size such as 64K or 16M, \(bounds)"
            case "time span": "write a time span such as 500ms, 30 or 5min, \(bounds)"
            default: "write \(article) \(kind)"
            }
        report(place, key, value, what, remedy)
    }

    private mutating func report(
        _ place: String, _ key: String, _ value: String?, _ what: String, _ remedy: String
    ) {
        problems.append(
            ConfigurationProblem(
                place: place, subject: ConfigurationSources.name(section, key) + (value ?? ""),
                what: what, remedy: remedy))
    }

    private static func text(_ bounds: ClosedRange<Duration>) -> String {
        let (low, high) = (bounds.lowerBound, bounds.upperBound)
        return "\(ConfigurationText.text(low)) … \(ConfigurationText.text(high))"
    }
}
