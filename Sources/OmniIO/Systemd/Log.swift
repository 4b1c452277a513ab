/// A service's voice in the journal.
///
///     let log = Log(journal, service: .cache)
///     log.info("Tool Cache started", fields: ["max_size": 1000, "ttl": 300])
///     log.warning("circuit opened", id: .circuitOpened, fields: ["mcp": name, "failures": 5])
///
/// Sentence and fields are closures in disguise: below the journal's level neither is evaluated.
public struct Log {
    public let journal: Journal
    public let service: Service
    /// Fields that every record of this handle carries, such as `mcp` or `request_id`.
    private let context: LogFields

    public init(_ journal: Journal, service: Service) {
        self.init(journal, service: service, context: [:])
    }

    private init(_ journal: Journal, service: Service, context: LogFields) {
        self.journal = journal
        self.service = service
        self.context = context
    }

    /// The same voice with more context: `log.with(["mcp": name])`.
    public func with(_ fields: LogFields) -> Log {
        Log(journal, service: service, context: context.appending(fields))
    }

    public func critical(
        _ message: @autoclosure () -> String, id: MessageID? = nil,
        fields: @autoclosure () -> LogFields = [:], file: StaticString = #fileID,
        line: UInt = #line
    ) {
        if isEnabled(.critical) { append(.critical, message(), id, fields(), file, line) }
    }

    public func error(
        _ message: @autoclosure () -> String, id: MessageID? = nil,
        fields: @autoclosure () -> LogFields = [:], file: StaticString = #fileID,
        line: UInt = #line
    ) {
        if isEnabled(.error) { append(.error, message(), id, fields(), file, line) }
    }

    public func warning(
        _ message: @autoclosure () -> String, id: MessageID? = nil,
        fields: @autoclosure () -> LogFields = [:], file: StaticString = #fileID,
        line: UInt = #line
    ) {
        if isEnabled(.warning) { append(.warning, message(), id, fields(), file, line) }
    }

    public func notice(
        _ message: @autoclosure () -> String, id: MessageID? = nil,
        fields: @autoclosure () -> LogFields = [:], file: StaticString = #fileID,
        line: UInt = #line
    ) {
        if isEnabled(.notice) { append(.notice, message(), id, fields(), file, line) }
    }

    public func info(
        _ message: @autoclosure () -> String, id: MessageID? = nil,
        fields: @autoclosure () -> LogFields = [:], file: StaticString = #fileID,
        line: UInt = #line
    ) {
        if isEnabled(.info) { append(.info, message(), id, fields(), file, line) }
    }

    public func debug(
        _ message: @autoclosure () -> String, id: MessageID? = nil,
        fields: @autoclosure () -> LogFields = [:], file: StaticString = #fileID,
        line: UInt = #line
    ) {
        if isEnabled(.debug) { append(.debug, message(), id, fields(), file, line) }
    }

    /// For a caller that must compute before it can say.
    public func isEnabled(_ level: LogLevel) -> Bool { level.isEnabled(at: journal.level) }

    private func append(
        _ level: LogLevel, _ message: String, _ id: MessageID?, _ fields: LogFields,
        _ file: StaticString, _ line: UInt
    ) {
        var fields = context.appending(fields)
        if let request = RequestContext.current { fields.append(request) }
        journal.append(
            JournalRecord(
                level: level, service: service, message: message, id: id, fields: fields,
                file: file, line: line))
    }
}
