import OmniCore
import OmniIO

/// Keeps a way to Redis: one connection that talks, one that listens, both made anew with backoff when
/// either is lost. Nobody waits for it: what cannot be said now is not said, and who asks gets no
/// answer within a moment.
final class RedisLink {
    struct Settings {
        var connectTimeout = Duration.seconds(5)
        /// How often a sign of life is asked for, and how long it may take.
        var pingInterval = Duration.seconds(2)
        var pingTimeout = Duration.seconds(2)
        /// What an answer may cost a request.
        var answerTimeout = Duration.milliseconds(50)
    }

    private let io: any IO
    private let target: RedisTarget
    private let settings: Settings
    private let log: Log
    private var talking: RedisConnection?
    private var listening: RedisConnection?
    private var delay = RetryDelay()
    private var isStopping = false
    private var wasConnected = false
    private let alarm: Alarm
    /// It answered last time. One that is slow is not asked again before it shows life.
    private var answers = false
    private(set) var connects: UInt64 = 0
    private(set) var sent: UInt64 = 0
    private(set) var dropped: UInt64 = 0
    private var handlers: [String: ([UInt8]) -> Void] = [:]
    private var patternHandlers: [(prefix: String, handle: (String, [UInt8]) -> Void)] = []
    /// Told after each change.
    var changed: [(_ isConnected: Bool) -> Void] = []

    init(io: any IO, target: RedisTarget, log: Log, settings: Settings = Settings()) {
        self.io = io
        self.target = target
        self.settings = settings
        self.log = log
        alarm = Alarm(io)
    }

    var isConnected: Bool { talking != nil }

    // MARK: Listening

    /// Before `start`.
    func on(_ channel: String, _ handle: @escaping ([UInt8]) -> Void) { handlers[channel] = handle }

    /// Channels that begin with `prefix`.
    func on(prefix: String, _ handle: @escaping (_ channel: String, [UInt8]) -> Void) {
        patternHandlers.append((prefix, handle))
    }

    private func received(_ channel: String, _ payload: [UInt8]) {
        if let handle = handlers[channel] { return handle(payload) }
        for (prefix, handle) in patternHandlers where channel.hasPrefix(prefix) {
            handle(channel, payload)
        }
    }

    // MARK: Talking

    /// Leaves with whatever else is said in this turn; false when there is no connection.
    @discardableResult
    func send(_ words: [String]) -> Bool {
        count(talking?.send(words) ?? false)
    }

    @discardableResult
    func publish(_ channel: String, _ payload: [UInt8]) -> Bool {
        send(bytes: [Array("PUBLISH".utf8), Array(channel.utf8), payload])
    }

    @discardableResult
    func send(bytes words: [[UInt8]]) -> Bool {
        count(talking?.send(bytes: words) ?? false)
    }

    private func count(_ isSent: Bool) -> Bool {
        if isSent { sent += 1 } else { dropped += 1 }
        return isSent
    }

    /// Asks all at once; nil when not all answers came within a moment.
    func ask(_ commands: [[String]]) async -> [RedisValue]? {
        guard let talking, answers else { return nil }
        sent += UInt64(commands.count)
        do throws(RedisError) {
            return try await talking.ask(commands, until: io.now + settings.answerTimeout)
        } catch {
            if error == .timedOut { answers = false }
            return nil
        }
    }

    // MARK: Life

    func start() { io.spawn { await self.run() } }

    func stop() {
        isStopping = true
        talking?.close()
        listening?.close()
        alarm.ring()
    }

    private func run() async {
        while !isStopping {
            let reason = await connectAndWatch()
            let isNews = wasConnected
            wasConnected = false
            talking = nil
            listening = nil
            answers = false
            if isNews { for tell in changed { tell(false) } }
            if isStopping { return }
            if isNews {
                log.error(
                    "Redis is lost, going on alone and trying again", id: .redisLost,
                    fields: ["redis": target.description, "error": reason])
            } else {
                log.debug(
                    "Redis does not answer, trying again",
                    fields: ["redis": target.description, "error": reason])
            }
            await alarm.wait(until: io.now + delay.next(Double.random(in: 0...1)))
        }
    }

    /// Returns why it ended.
    private func connectAndWatch() async -> String {
        let lost = Promise<String>(io)
        do throws(RedisError) {
            let talker = try await open(lost)
            defer { talker.close() }
            let listener = try await open(lost)
            defer { listener.close() }
            if isStopping { return "stopping" }
            listener.subscribe(
                to: Array(handlers.keys).sorted(), patterns: patternHandlers.map { $0.prefix + "*" }
            ) { [weak self] channel, payload in self?.received(channel, payload) }
            connected(talker, listener)
            return await watch(talker, lost)
        } catch {
            return error.description
        }
    }

    private func open(_ lost: Promise<String>) async throws(RedisError) -> RedisConnection {
        let connection = try await RedisConnection.open(target, io)
        io.spawn { lost.fulfil(await connection.run()) }
        do throws(RedisError) {
            try await connection.logIn(target, until: io.now + settings.connectTimeout)
        } catch {
            connection.close()
            throw error
        }
        return connection
    }

    private func connected(_ talker: RedisConnection, _ listener: RedisConnection) {
        talking = talker
        listening = listener
        wasConnected = true
        connects += 1
        answers = true
        delay.reset()
        log.info(
            "connected to Redis", id: .redisConnected, fields: ["redis": target.description])
        for tell in changed { tell(true) }
    }

    private func watch(_ talker: RedisConnection, _ lost: Promise<String>) async -> String {
        while !isStopping {
            if let reason = await lost.value(until: io.now + settings.pingInterval) {
                return reason
            }
            do throws(RedisError) {
                _ = try await talker.ask(["PING"], until: io.now + settings.pingTimeout)
                answers = true
            } catch {
                return error.description
            }
        }
        return "stopping"
    }
}
