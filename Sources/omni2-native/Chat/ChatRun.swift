import OmniCore
import OmniIO

/// One question on its way: gates, rounds of the model, calls of tools, the account of it all.
///
/// Its flow is saved and its cost written however it ends; `cancel` ends it at once.
final class ChatRun {
    let question: ChatQuestion
    private let chat: Chat
    private let model: any LanguageModel
    private let sink: any ChatSink
    private let flow: Flow?
    private let began: MonotonicTime
    private let modelCancellation = HTTPCancellation()
    private var callCancellations: [UpstreamCancellation] = []
    private var cancelReason: String?
    private var blockMessage: String?

    private var answer = ""
    private var usage = ModelUsage()
    private var iterations = 0
    private var calls = 0
    private var toolsUsed: [String] = []
    private var serversUsed: [String] = []
    private var warning: String?

    init(_ chat: Chat, _ model: any LanguageModel, _ question: ChatQuestion, _ sink: any ChatSink) {
        self.chat = chat
        self.model = model
        self.question = question
        self.sink = sink
        began = chat.io.now
        flow = chat.flows.begin(
            .chat, for: question.principal, requestID: question.requestID,
            conversation: question.conversation)
    }

    // MARK: Taking it back

    /// Nobody waits for the answer any more.
    func cancel(_ reason: String) {
        guard cancelReason == nil else { return }
        cancelReason = reason
        modelCancellation.cancel()
        for cancellation in callCancellations { cancellation.cancel(reason) }
    }

    func block(_ message: String) {
        guard cancelReason == nil else { return }
        blockMessage = message
        cancel("the user was blocked")
    }

    // MARK: Life

    /// `span` is that of the whole question.
    func live(_ span: Span?) async {
        defer {
            flow?.finish()
            span?.end(usage)
        }
        guard passes() else { return }
        let tools = permittedTools()
        do throws(ModelError) {
            try await converse(tools)
            flow?.note(
                .complete, under: lastThought, took: chat.io.now - began,
                [
                    ("tokens", JSONValue(usage.total)), ("cost_usd", .double(cost)),
                    ("iterations", JSONValue(iterations)),
                ])
            account(error: nil)
            chat.statistics.answered += 1
            sink.done(result)
        } catch {
            span?.fail(error)
            let reason = cancelReason ?? error.description
            flow?.fail(reason)
            account(error: reason)
            end(error, reason)
        }
    }

    private func end(_ error: ModelError, _ reason: String) {
        if let blockMessage { return sink.blocked(blockMessage) }
        if cancelReason != nil {
            chat.statistics.cancelled += 1
            return
        }
        chat.statistics.failed += 1
        chat.log.warning(
            "question not answered", id: .modelUnavailable,
            fields: [
                "error": reason, "request_id": question.requestID,
                "user_id": question.principal.id,
            ])
        sink.failed(reason)
    }

    // MARK: Gates

    /// In the original's order: block, (active,) usage; then what the asker may use.
    private func passes() -> Bool {
        let (access, principal) = (chat.access, question.principal)
        flow?.gate(.authCheck)
        if let refusal = access.refusal(principal, from: .chat) {
            flow?.gate(.blockCheck, passed: false, [("error", .string(refusal.message))])
            return refuse(refusal)
        }
        flow?.gate(.blockCheck)
        if let refusal = access.costRefusal(principal) ?? access.take(principal) {
            flow?.gate(
                .usageCheck, passed: false,
                chat.gates.usage(principal) + [("error", .string(refusal.message))])
            return refuse(refusal)
        }
        flow?.gate(.usageCheck, chat.gates.usage(principal))
        return true
    }

    private func refuse(_ refusal: Access.Refusal) -> Bool {
        chat.statistics.refused += 1
        account(error: refusal.message, isBlocked: true)
        sink.refused(refusal)
        return false
    }

    private func permittedTools() -> [String: GatewayCatalogue.Item] {
        let items = question.principal.permission.items
        let tools = chat.gateway.view(question.principal).tools
        let servers = Set(tools.map(\.serverName)).sorted()
        flow?.gate(
            .permissionCheck,
            [
                ("mcp_access", JSONValue(items.servers.names ?? servers)),
                ("available_mcps", JSONValue(servers)),
            ])
        flow?.gate(
            .toolFilter,
            [("tool_restrictions", items.restrictions.json), ("tools", JSONValue(tools.count))])
        return Dictionary(tools.map { ($0.offered, $0) }, uniquingKeysWith: { first, _ in first })
    }

    // MARK: Rounds

    private var lastThought = FlowNode.none

    private func converse(_ tools: [String: GatewayCatalogue.Item]) async throws(ModelError) {
        let offered = tools.values.sorted { $0.offered < $1.offered }.map(Self.tool)
        var request = ModelRequest(
            system: ChatPrompt.system(for: question.principal, tools: offered.count),
            messages: [.user(question.text)], tools: offered)
        let deadline = began + chat.settings.timeout * chat.settings.iterationsMax
        while true {
            iterations += 1
            lastThought =
                flow?.note(
                    .thinking, under: flow?.tip ?? .none,
                    [("iteration", JSONValue(iterations)), ("model", .string(model.name))])
                ?? .none
            let turn = try await think(
                request, until: min(deadline, chat.io.now + chat.settings.timeout))
            if turn.isCutOff { warning = "max_tokens_reached" }
            if turn.calls.isEmpty { return }
            if iterations >= chat.settings.iterationsMax {
                warning = "max_iterations_reached"
                return
            }
            let results = await call(turn.calls, tools)
            if cancelReason != nil { throw .cancelled }
            request.messages += [.assistant(turn), .results(results)]
        }
    }

    private func think(
        _ request: ModelRequest, until deadline: MonotonicTime
    ) async throws(ModelError) -> ModelTurn {
        if cancelReason != nil { throw .cancelled }
        var said = ""
        let span = chat.gateway.telemetry.round(of: model, in: RequestContext.current?.trace)
        do throws(ModelError) {
            let turn = try await model.answer(
                request, until: deadline, cancellation: modelCancellation
            ) { text in
                if self.cancelReason != nil { return }
                // Rounds are told apart by a blank line, in the answer as in the tokens.
                if said.isEmpty, !self.answer.isEmpty { self.sink.token("\n\n") }
                said += text
                self.sink.token(text)
            }
            span?.end(turn.usage)
            usage += turn.usage
            charge(turn.usage)
            if !turn.text.isEmpty { answer += (answer.isEmpty ? "" : "\n\n") + turn.text }
            return turn
        } catch {
            span?.fail(error)
            span?.end()
            answer += said
            throw error
        }
    }

    // MARK: Tools

    private static func tool(_ item: GatewayCatalogue.Item) -> ModelTool {
        let json = EventBus.object(item.json) ?? [:]
        let schema = json["inputSchema"] ?? ["type": "object"]
        return ModelTool(
            name: item.offered,
            description: "[\(item.serverName)] " + (json["description"]?.string ?? item.name),
            schema: schema.object == nil ? ["type": "object"] : schema)
    }

    /// All calls of a turn at the same time; their results in the order asked.
    private func call(
        _ asked: [ModelCall], _ tools: [String: GatewayCatalogue.Item]
    ) async -> [ModelResult] {
        var results = [ModelResult?](repeating: nil, count: asked.count)
        let ends = Countdown(chat.io, from: asked.count)
        calls += asked.count
        for (index, one) in asked.enumerated() {
            guard let item = tools[one.name], let server = chat.gateway.server(item.server) else {
                flow?.note(
                    .toolCall, under: lastThought,
                    [
                        ("tool", .string(one.name)), ("status", "failed"),
                        ("outcome", "unknown_tool"),
                    ])
                results[index] = ModelResult(
                    call: one, text: "There is no tool named \(one.name).", isError: true)
                ends.step()
                continue
            }
            note(item)
            chat.io.spawn {
                results[index] = await self.call(one, item, server)
                ends.step()
            }
        }
        _ = await ends.ended(until: .distantFuture)
        callCancellations = []
        return results.compactMap { $0 }
    }

    private func note(_ item: GatewayCatalogue.Item) {
        let name = "\(item.serverName).\(item.name)"
        if !toolsUsed.contains(name) { toolsUsed.append(name) }
        if !serversUsed.contains(item.serverName) { serversUsed.append(item.serverName) }
    }

    private func call(
        _ asked: ModelCall, _ item: GatewayCatalogue.Item, _ server: LiveServer
    ) async -> ModelResult {
        let cancellation = UpstreamCancellation()
        callCancellations.append(cancellation)
        let call = ToolCall(
            server: server, tool: item.name, annotations: item.annotations,
            arguments: asked.arguments.bytes, mayBeCached: true,
            principal: question.principal, requestID: question.requestID,
            cancellation: cancellation,
            flow: flow?.call(item.name, of: item.serverName, under: lastThought),
            step: ToolStep(
                "\(item.serverName)\(ToolName.separator)\(item.name)",
                of: question.principal.name, in: RequestContext.current?.trace,
                by: chat.gateway.telemetry))
        let caller = chat.gateway.caller
        let began = chat.io.now
        var shown: JSONValue = [
            "id": .string(asked.id), "server": .string(item.serverName),
            "tool": .string(item.name), "arguments": asked.arguments, "status": "running",
        ]
        sink.tool(shown)
        let outcome: ToolOutcome
        if let known = caller.cached(call) {
            outcome = known
        } else {
            let deadline = chat.io.now + chat.gateway.callTime(of: server)
            outcome = await caller.call(call, until: deadline)
        }
        shown["status"] = outcome.isSuccess ? "success" : "error"
        shown["duration_ms"] = .double(FlowText.milliseconds(chat.io.now - began))
        if case .result(_, let mark?) = outcome { shown["cache"] = mark.json }
        sink.tool(shown)
        return ModelResult(
            call: asked, text: ChatPrompt.text(of: outcome, bytesMax: chat.settings.resultBytesMax),
            isError: !outcome.isSuccess)
    }

    // MARK: The account

    private var cost: Double { chat.settings.prices.dollars(usage, of: model.name) }

    /// At once, so that the next question knows of it.
    private func charge(_ usage: ModelUsage) {
        let dollars = chat.settings.prices.dollars(usage, of: model.name)
        chat.statistics.usage += usage
        chat.statistics.dollars += dollars
        if let user = question.principal.userID { chat.access.charge(dollars, to: user) }
    }

    private var result: JSONValue {
        var result: JSONValue = [
            "answer": .string(answer), "tool_calls": JSONValue(calls),
            "tools_used": JSONValue(toolsUsed), "iterations": JSONValue(iterations),
            "tokens_input": JSONValue(usage.input), "tokens_output": JSONValue(usage.output),
            "tokens_cached": JSONValue(usage.cached), "cost_usd": .double(cost),
        ]
        if let flow { result["session_id"] = .string(flow.id.text) }
        if let warning { result["warning"] = .string(warning) }
        return result
    }

    /// The row of `audit_logs`, which outlives the database's absence as flows do.
    private func account(error: String?, isBlocked: Bool = false) {
        let took = chat.io.now - began
        let session = flow?.id ?? chat.flows.nextID()
        chat.flows.history.append(
            HistoryRow(
                .audit,
                [
                    SQLValue(question.principal.userID),
                    .integer(Int64(chat.io.wallMicroseconds)), .text(question.text.withoutNul),
                    SQLValue(error == nil), .integer(took.milliseconds),
                    .text(String(answer.prefix(500)).withoutNul), SQLValue(error?.withoutNul),
                    SQLValue(usage.total), SQLValue(isBlocked), isBlocked ? SQLValue(error) : .null,
                    .real(cost), .text(session.text), .text(JSONValue(toolsUsed).text),
                    .text(JSONValue(serversUsed).text), .text(question.source),
                    .text(question.requestID),
                ], trace: RequestContext.current?.trace))
    }
}

extension String {
    /// PostgreSQL has no place for NUL in a text.
    fileprivate var withoutNul: String { contains("\0") ? filter { $0 != "\0" } : self }
}
