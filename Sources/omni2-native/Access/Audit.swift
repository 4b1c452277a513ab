import OmniCore
import OmniIO

/// Who did what, to what, from where: every administrative change and every denial, in the journal
/// at once and in `auth_audit` soon after.
///
/// Denials that repeat are one row with a count, so that a guesser fills neither disk nor journal.
/// While the database is away rows wait, bounded; the journal has them all the same.
final class Audit {
    private let io: any IO
    private let log: Log
    private var waiting: [AuditRecord] = []
    private(set) var dropped = 0
    /// Rows that wait for the database; beyond it the oldest go.
    private static let waitingMax = 2000

    init(io: any IO, log: Log) {
        self.io = io
        self.log = log
    }

    /// A change somebody made.
    func done(
        _ exchange: HTTPExchange, by principal: Principal, _ action: String, _ target: String?,
        details: LogFields = [:]
    ) {
        let fields: LogFields = [
            "action": action, "target": target, "user_id": principal.id,
            "peer": Access.place(exchange), "request_id": exchange.requestID,
        ]
        log.notice("\(action) by \(principal.name)", fields: fields.appending(details))
        add(
            AuditRecord(
                timestamp: now, userID: principal.userID, actor: principal.name, action: action,
                target: target, outcome: .done, address: Access.place(exchange),
                requestID: exchange.requestID))
    }

    /// Something somebody wanted and may not.
    func denied(
        _ exchange: HTTPExchange, by principal: Principal? = nil, who: String = "unknown",
        action: String, target: String? = nil, reason: String
    ) {
        let record = AuditRecord(
            timestamp: now, userID: principal?.userID, actor: principal?.name ?? who,
            action: action, target: target ?? exchange.request.path, outcome: .denied,
            reason: reason, address: Access.place(exchange), requestID: exchange.requestID)
        if repeats(record) { return }
        log.warning(
            "denied: \(reason)", id: .accessDenied,
            fields: [
                "action": action, "target": record.target, "user_id": principal?.id ?? who,
                "peer": record.address, "request_id": exchange.requestID,
            ])
        add(record)
    }

    private var now: Int64 { Int64(io.wallMicroseconds) }

    /// Counts it in the row that waits, if there is one of the same.
    private func repeats(_ record: AuditRecord) -> Bool {
        let same = waiting.lastIndex {
            $0.outcome == .denied && $0.actor == record.actor && $0.action == record.action
                && $0.target == record.target && $0.address == record.address
                && $0.reason == record.reason
        }
        guard let same else { return false }
        waiting[same].repeated += 1
        return true
    }

    private func add(_ record: AuditRecord) {
        if waiting.count >= Self.waitingMax {
            waiting.removeFirst()
            dropped += 1
        }
        waiting.append(record)
    }

    /// Writes what waits; what cannot be written waits on.
    func flush(to store: any AccessStore) async {
        if waiting.isEmpty { return }
        let batch = Array(waiting.prefix(200))
        waiting.removeFirst(batch.count)
        do throws(StoreError) {
            try await store.append(audit: batch)
        } catch {
            waiting = Array((batch + waiting).suffix(Self.waitingMax))
            if case .failed(let why) = error {
                // It would fail again for ever: the journal has it.
                waiting.removeFirst(min(batch.count, waiting.count))
                log.error("the audit trail could not be written", fields: ["error": why])
            }
        }
    }
}
