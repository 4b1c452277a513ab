import OmniCore
import OmniIO

/// The daemon's live events, over interruptions: when the connection is lost, or the daemon starts
/// anew, it comes back and goes on behind the last event it saw. What the daemon's log does not reach
/// back to is told as a gap, never passed over.
struct EventFeed {
    enum Happening {
        /// As the daemon wrote it, and read.
        case event(String, JSONValue)
        /// It is being tried again.
        case lost(String)
        case cameBack
        /// Events are missing; this is how everything stands instead.
        case gap(String, JSONValue)
    }

    /// The daemon says something with each of its rounds, every 30 seconds unless told. A connection
    /// that is silent for longer may be dead without saying so: a new one tells, and if all was well
    /// nobody notices.
    private static let silenceMax = Duration.seconds(95)
    private static let backoff = Backoff(
        ladder: [100, 250, 500, 1000, 2000, 5000].map { .milliseconds($0) }, jitterPercent: 20)

    let client: Client
    let types: [String]
    /// The last event seen; nil begins with how everything stands.
    var last: UInt64?

    /// Tells what happens until `tell` says that it is enough.
    ///
    /// - Throws: only before the first event, and when the daemon takes our right away.
    mutating func run(_ tell: (Happening) -> Bool) async throws(Failure) {
        var (attempt, hasConnected, isLost) = (0, false, false)
        while true {
            switch await connect() {
            case .success(let response) where response.status == 200:
                if isLost, !tell(.cameBack) { return }
                (attempt, hasConnected, isLost) = (0, true, false)
                switch await read(response, tell) {
                case .enough: return
                case .silence: continue
                case .loss(let reason): if !tell(.lost(reason)) { return }
                }
            case .success(let response):
                let answer = try await client.answer(of: response)
                try client.refuse(answer)
                // 503 while it starts, or has as many streams as it may.
                if !hasConnected { throw .failed(answer.reason) }
            case .failure(let error):
                if !hasConnected { throw client.failure(error) }
                if !isLost, !tell(.lost("\(error)")) { return }
            }
            isLost = true
            let delay = Self.backoff.delay(attempt: attempt, seed: client.io.wallMicroseconds)
            await client.io.sleep(until: client.io.now + delay)
            attempt += 1
        }
    }

    /// Why a stream is read no more.
    private enum Ending {
        /// `tell` says so.
        case enough
        case silence
        case loss(String)
    }

    private func connect() async -> Result<HTTPClientResponse, HTTPClientError> {
        let list = types.map(PercentText.encode).joined(separator: ",")
        do throws(HTTPClientError) {
            return .success(
                try await client.stream(
                    "/api/v1/events/stream?event_types=\(list)", lastEvent: last))
        } catch {
            return .failure(error)
        }
    }

    private mutating func read(
        _ response: HTTPClientResponse, _ tell: (Happening) -> Bool
    ) async -> Ending {
        var parser = EventStreamParser()
        do throws(HTTPClientError) {
            while let chunk = try await response.nextChunk(
                until: client.io.now + Self.silenceMax)
            {
                var position = 0
                while true {
                    let step: EventStreamParser.Step
                    do throws(EventStreamParser.Failure) {
                        step = try chunk.withRawSpan { bytes throws(EventStreamParser.Failure) in
                            try parser.next(in: bytes, position: &position)
                        }
                    } catch {
                        return .loss("an event is longer than any should be")
                    }
                    if step == .needMore { break }
                    guard step == .event, let happening = event(parser) else { continue }
                    if !tell(happening) {
                        response.cancel()
                        return .enough
                    }
                }
            }
            return .loss("the daemon ended the stream")
        } catch {
            response.cancel()
            return error == .timedOut(.body) ? .silence : .loss("\(error)")
        }
    }

    private mutating func event(_ parser: borrowing EventStreamParser) -> Happening? {
        let text = parser.withData { $0.string() }
        // Each event is one line of JSON: what is none is not the daemon's.
        guard let event = try? JSONValue(parsing: text) else { return nil }
        if let id = UInt64(parser.lastEventID) { last = id }
        if event["type"]?.string == "initial_status", event["resync"]?.bool == true {
            return .gap(text, event)
        }
        return .event(text, event)
    }
}
