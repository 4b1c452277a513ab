import OmniCore
import OmniIO

/// Calls tools: cache, circuit, upstream, in this order, the same for MCP and REST.
///
/// A hit is answered without suspending. Identical calls in flight become one: the others wait for
/// its outcome, each within its own deadline. A server that fails counts in its circuit and is
/// checked at once; a tool that says `isError` is a working server.
final class ToolCaller {
    struct Statistics {
        var calls: UInt64 = 0
        var coalesced: UInt64 = 0
        var failed: UInt64 = 0
    }

    private let io: any IO
    private let cache: Cache
    private let coordinator: Coordinator
    private let telemetry: Telemetry
    private let slots: CallSlots
    private let upstreams: PersonalUpstreams
    private let log: Log
    private var rules: [Int: (epoch: String, rules: CacheRules)] = [:]
    private var inFlight: [CacheKey: Flight] = [:]

    /// A call that others wait for, and what it will fill.
    private struct Flight {
        let promise: Promise<ToolOutcome>
        let fill: Cache.Fill
    }
    private(set) var statistics = Statistics()
    /// What other hosts know; nil on a host alone.
    var secondLevel: SecondLevelCache?

    init(
        io: any IO, cache: Cache, coordinator: Coordinator, slots: CallSlots,
        upstreams: PersonalUpstreams, telemetry: Telemetry, log: Log
    ) {
        self.telemetry = telemetry
        self.io = io
        self.cache = cache
        self.coordinator = coordinator
        self.slots = slots
        self.upstreams = upstreams
        self.log = log
    }

    // MARK: Cache

    /// The answer when it is there already; nil: `call` has to be awaited, which does not look again.
    func cached(_ call: ToolCall) -> ToolOutcome? {
        guard let slot = slot(of: call) else { return nil }
        let lookup = telemetry.step("cache lookup", in: call.step?.trace)
        let found = cache.find(slot)
        lookup?.set("omni2.cache.hit", found != nil)
        lookup?.end()
        return found.map { hit($0, for: call) }
    }

    /// What the tool said last, when its server is away and the operator allows to tell that.
    func stale(_ call: ToolCall) -> ToolOutcome? {
        slot(of: call).flatMap { cache.findStale($0) }.map { hit($0, for: call) }
    }

    private func hit(_ found: Cache.Found, for call: ToolCall) -> ToolOutcome {
        statistics.calls += 1
        let outcome = ToolOutcome.result(found.result, mark: CacheMark(found))
        call.flow?.looked(.hit)
        ended(call, outcome)
        return outcome
    }

    /// Each call ends here once, whoever answered it.
    func ended(_ call: ToolCall, _ outcome: ToolOutcome) {
        call.flow?.ended(outcome, at: io.now)
        call.step?.end(outcome)
    }

    /// Whether making the call now would put a shared result where there is none.
    func wantsFilling(_ call: ToolCall) -> Bool {
        guard let slot = slot(of: call), slot.isShared, inFlight[slot.key] == nil else {
            return false
        }
        return cache.entry(slot.key) == nil
    }

    /// Where the call's result belongs; nil when it must not be cached.
    private func slot(of call: ToolCall) -> Cache.Slot? {
        let policy = rules(of: call.server).policy(for: call.tool)
        guard call.mayBeCached,
            case .yes = policy.cacheable(tool: call.tool, annotations: call.annotations)
        else { return nil }
        let epoch = call.server.upstream?.catalogue.epoch ?? 0
        return call.arguments.withRawSpan { bytes in
            cache.slot(
                server: call.server.name, epoch: epoch, tool: call.tool, policy: policy,
                principal: call.principal,
                arguments: ByteRange(offset: 0, count: bytes.byteCount), meta: nil, in: bytes)
        }
    }

    /// The rules of a row, read once per change of its text.
    private func rules(of server: LiveServer) -> CacheRules {
        let text = server.record.configuration.metaData
        if let known = rules[server.id], known.epoch == text { return known.rules }
        let read: CacheRules
        do throws(CacheRules.Problem) {
            read = try CacheRules(metaData: text)
        } catch {
            log.warning(
                "cache rules are wrong, caching nothing of this server",
                fields: ["mcp": server.name, "error": error.description])
            read = .none
        }
        rules[server.id] = (text, read)
        return read
    }

    func forget(_ server: Int) { rules[server] = nil }

    // MARK: Calling

    /// Always ends, at `deadline` at the latest.
    func call(_ call: ToolCall, until deadline: MonotonicTime) async -> ToolOutcome {
        let outcome = await answer(call, until: deadline)
        ended(call, outcome)
        return outcome
    }

    private func answer(_ call: ToolCall, until deadline: MonotonicTime) async -> ToolOutcome {
        statistics.calls += 1
        guard let slot = slot(of: call) else {
            call.flow?.looked(.off)
            return await ask(call, call.request, until: deadline)
        }
        // One that was asked before an invalidation does not answer what is asked after it.
        if let leader = inFlight[slot.key], cache.isCurrent(leader.fill) {
            statistics.coalesced += 1
            call.flow?.looked(.joined)
            return await leader.promise.value(until: deadline)
                ?? .failed("timed out: \(call.tool)")
        }
        let promise = Promise<ToolOutcome>(io)
        let fill = cache.beginFill(slot)
        inFlight[slot.key] = Flight(promise: promise, fill: fill)
        let elsewhere = await secondLevel?.find(slot)
        if let result = elsewhere?.result {
            call.flow?.looked(.remote)
            land(promise, slot)
            cache.finish(fill, with: result, timeLeft: elsewhere?.timeLeft)
            let outcome = ToolOutcome.result(result, mark: cache.find(slot).map { CacheMark($0) })
            promise.fulfil(outcome)
            return outcome
        }
        call.flow?.looked(.miss)
        // Not to be taken back by one caller: others may wait for it, and its result is kept.
        var request = call.request
        request.cancellation = nil
        let outcome = await ask(call, request, until: deadline)
        land(promise, slot)
        if case .result(let result, _) = outcome, isStorable(result) {
            cache.finish(fill, with: result)
            secondLevel?.store(
                result, slot, elsewhere, for: slot.timeToLive ?? cache.settings.timeToLive)
            if slot.isShared {
                cache.warmth?.filled(
                    slot.key,
                    .init(server: slot.server, tool: slot.tool, arguments: call.arguments))
            }
        }
        let told = fallback(outcome, slot)
        promise.fulfil(told)
        return told
    }

    /// A call asked after an invalidation may have taken its place meanwhile.
    private func land(_ promise: Promise<ToolOutcome>, _ slot: Cache.Slot) {
        if inFlight[slot.key]?.promise === promise { inFlight[slot.key] = nil }
    }

    private func isStorable(_ result: [UInt8]) -> Bool {
        result.withRawSpan { bytes in
            let facts = ResultFacts.read(ByteRange(offset: 0, count: bytes.byteCount), in: bytes)
            if case .yes = CachePolicy.storable(facts, bytesMax: cache.valueBytesMax) {
                return true
            }
            return false
        }
    }

    /// A server that is away may be answered for by what it said last, marked stale.
    private func fallback(_ outcome: ToolOutcome, _ slot: Cache.Slot) -> ToolOutcome {
        switch outcome {
        case .unavailable, .failed:
            guard let found = cache.findStale(slot) else { return outcome }
            return .result(found.result, mark: CacheMark(found))
        case .result, .refused, .tooLarge, .cancelled: return outcome
        }
    }

    private func ask(
        _ call: ToolCall, _ request: UpstreamRequest, until deadline: MonotonicTime
    ) async -> ToolOutcome {
        await ask(
            call.server, request, subject: call.tool, call.principal, until: deadline,
            flow: call.flow)
    }

    /// The upstream itself, when there is a place and its circuit lets the request pass. `subject` is
    /// for the journal.
    func ask(
        _ server: LiveServer, _ request: UpstreamRequest, subject: String,
        _ principal: Principal, until deadline: MonotonicTime, flow: FlowCall? = nil
    ) async -> ToolOutcome {
        let place: CallSlots.Pass
        do throws(CallSlots.Refusal) {
            place = try await slots.enter(
                principal: principal.id, server: server.id, until: deadline)
        } catch {
            return .failed(
                error == .full
                    ? "too many calls wait already; try again later"
                    : "timed out: \(subject) waited for its turn")
        }
        defer { slots.leave(place) }
        let breaker = coordinator.breaker
        let pass: CircuitBreaker.Pass
        let step = telemetry.step("circuit check", in: request.trace)
        step?.set("omni2.mcp", server.name)
        step?.set("omni2.circuit.state", breaker.state(of: server.id).word)
        defer { step?.end() }
        switch breaker.admit(server.id) {
        case .admitted(let admitted):
            pass = admitted
            step?.end()
            flow?.circuit(breaker.state(of: server.id).word, passed: true)
        case .refused(let seconds, let state):
            flow?.circuit(state.word, passed: false)
            step?.fail("circuit_open")
            return .unavailable(state: state.word, retryAfterSeconds: seconds)
        }
        do throws(UpstreamError) {
            let upstream = try await upstreams.upstream(
                of: server, for: principal, until: deadline)
            let result = try await upstream.send(request, until: deadline)
            coordinator.callSucceeded(pass)
            return .result(result, mark: nil)
        } catch {
            statistics.failed += 1
            return judge(error, server, request, subject, principal, pass)
        }
    }

    private func judge(
        _ error: UpstreamError, _ server: LiveServer, _ request: UpstreamRequest,
        _ subject: String, _ principal: Principal, _ pass: CircuitBreaker.Pass
    ) -> ToolOutcome {
        if error.countsAsFailure {
            coordinator.callFailed(pass, reason: error.description)
        } else if case .rpc = error {
            coordinator.callSucceeded(pass)
        } else {
            coordinator.callAbandoned(pass)
        }
        if error == .stopped, request.cancellation?.reason != nil { return .cancelled }
        log.warning(
            "\(request.method.name) failed",
            fields: [
                "mcp": server.name, "tool": subject, "error": error.description,
                "user_id": principal.id,
            ])
        switch error {
        case .rpc(let code, let message, let data):
            return .refused(code: code, message: message, data: data)
        case .tooLarge(let limit): return .tooLarge(limit: limit)
        case .notConnected:
            return .unavailable(
                state: coordinator.breaker.state(of: server.id).word,
                retryAfterSeconds: coordinator.breaker.retryAfterSeconds(of: server.id))
        case .transport, .timedOut, .unanswered, .sessionExpired, .protocolViolation, .overloaded,
            .stopped:
            return .failed(error.description)
        }
    }
}
