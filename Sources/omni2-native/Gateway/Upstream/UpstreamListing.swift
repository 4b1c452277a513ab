import OmniCore
import OmniIO

/// Reads a server's lists, page by page, and takes over what changed.
extension Upstream {
    enum List {
        case tools, prompts, resources, resourceTemplates

        var method: MCPMethod {
            switch self {
            case .tools: .listTools
            case .prompts: .listPrompts
            case .resources: .listResources
            case .resourceTemplates: .listResourceTemplates
            }
        }

        var member: StaticString {
            switch self {
            case .tools: "tools"
            case .prompts: "prompts"
            case .resources: "resources"
            case .resourceTemplates: "resourceTemplates"
            }
        }

        /// The member that names an item.
        var key: StaticString {
            switch self {
            case .tools, .prompts: "name"
            case .resources: "uri"
            case .resourceTemplates: "uriTemplate"
            }
        }
    }

    /// Everything the server's capabilities promise. Tools decide; a failure of the other lists is
    /// said and leaves them empty.
    func listAll(until deadline: MonotonicTime) async throws(UpstreamError) -> UpstreamCatalogue {
        var found = catalogue
        found.tools = try await list(.tools, until: deadline)
        found.prompts = await listIfOffered(.prompts, .prompts, until: deadline)
        found.resources = await listIfOffered(.resources, .resources, until: deadline)
        found.resourceTemplates = await listIfOffered(
            .resourceTemplates, .resources, until: deadline)
        return found
    }

    private func listIfOffered(
        _ list: List, _ capability: ServerCapabilities, until deadline: MonotonicTime
    ) async -> [UpstreamCatalogue.Item] {
        guard session.capabilities.contains(capability) else { return [] }
        do throws(UpstreamError) {
            return try await self.list(list, until: deadline)
        } catch {
            log.notice(
                "\(list.method.name) failed, going on without", fields: ["error": "\(error)"])
            return []
        }
    }

    func list(
        _ list: List, until deadline: MonotonicTime
    ) async throws(UpstreamError) -> [UpstreamCatalogue.Item] {
        var items: [UpstreamCatalogue.Item] = []
        var walk = ListWalk(pagesMax: deadlines.pagesMax)
        var cursor: String?
        while true {
            let result: [UInt8]
            do throws(UpstreamError) {
                result = try await request(
                    list.method, paramsJSON: UpstreamParams.page(cursor),
                    until: min(deadline, io.now + deadlines.list))
            } catch {
                // A server without tools need not know the method.
                if case .rpc(let code, _, _) = error, code == -32601 { return items }
                throw error
            }
            let next = try append(result, list, to: &items)
            switch walk.received(nextCursor: next) {
            case .next(let text) where items.count < deadlines.itemsMax: cursor = text
            case .done: return list == .tools ? callable(items) : items
            case .next, .givenUp:
                log.warning(
                    "\(list.method.name) has no end, going on with what came",
                    fields: ["items": items.count])
                return list == .tools ? callable(items) : items
            }
        }
    }

    /// Adds the items of one page and returns the cursor of the next.
    private func append(
        _ result: [UInt8], _ list: List, to items: inout [UpstreamCatalogue.Item]
    ) throws(UpstreamError) -> String? {
        let span = unsafe result.span.bytes
        let whole = ByteRange(offset: 0, count: result.count)
        guard let array = JSONScanner.member(list.member, of: whole, in: span),
            JSONScanner.kind(of: array, in: span) == .array
        else { throw .protocolViolation("\(list.method.name) did not answer a list") }
        var elements = JSONElements(of: array, in: span)
        while let element = elements.next(in: span), items.count < deadlines.itemsMax {
            let key = JSONScanner.member(list.key, of: element, in: span)
            guard let name = JSONScanner.string(key, in: span), !name.isEmpty else { continue }
            var item = UpstreamCatalogue.Item(
                name: name, json: JSONScanner.copy(element, from: span))
            if list == .tools { item.annotations = ToolAnnotations(tool: element, in: span) }
            items.append(item)
        }
        return JSONScanner.string(
            JSONScanner.member("nextCursor", of: whole, in: span), in: span)
    }

    // MARK: Changes

    /// Reads the lists again in the background. Asked again meanwhile, it does so once more.
    func refresh() {
        if isRefreshing {
            mustRefreshAgain = true
            return
        }
        isRefreshing = true
        io.spawn { [weak self] in await self?.refreshUntilQuiet() }
    }

    private func refreshUntilQuiet() async {
        defer { isRefreshing = false }
        var pause = Duration.milliseconds(100)
        repeat {
            // Who announces without end is listened to less and less.
            if mustRefreshAgain {
                await io.sleep(until: io.now + pause)
                pause = min(pause * 2, .seconds(5))
            }
            mustRefreshAgain = false
            do throws(UpstreamError) {
                let session = sessionNumber
                let found = try await listAll(until: io.now + deadlines.list * 4)
                guard isConnected else { return }
                // A handshake came between: what is offered was asked of neither session as a whole.
                guard session == sessionNumber, renewing == nil else {
                    mustRefreshAgain = true
                    continue
                }
                if !found.offersSame(as: catalogue) {
                    takeOver { catalogue in
                        catalogue.tools = found.tools
                        catalogue.prompts = found.prompts
                        catalogue.resources = found.resources
                        catalogue.resourceTemplates = found.resourceTemplates
                    }
                }
            } catch {
                // The next health check reads the tools again.
                log.notice(
                    "the changed lists could not be read, keeping the old ones",
                    fields: ["error": "\(error)"])
                return
            }
        } while mustRefreshAgain && isConnected
    }

    func takeOver(_ change: (inout UpstreamCatalogue) -> Void) {
        change(&catalogue)
        epoch += 1
        catalogue.epoch = epoch
        catalogueChanged(self)
    }
}

extension UpstreamCatalogue {
    /// What the answer to `server/discover` tells, if there was one.
    init(discovery answer: [UInt8]) {
        let span = unsafe answer.span.bytes
        let whole = ByteRange(offset: 0, count: answer.count)
        guard let result = JSONScanner.member("result", of: whole, in: span) else { return }
        if let meta = JSONScanner.member("_meta", of: result, in: span),
            let info = JSONScanner.member(ModernMeta.serverInfo, of: meta, in: span)
        {
            serverInfo = JSONScanner.copy(info, from: span)
        }
        if let capabilities = JSONScanner.member("capabilities", of: result, in: span) {
            self.capabilities = JSONScanner.copy(capabilities, from: span)
        }
    }

    /// What the answer to `initialize` tells; the lists are still empty.
    init(initialize result: ByteRange, in bytes: [UInt8]) {
        let span = unsafe bytes.span.bytes
        if let info = JSONScanner.member("serverInfo", of: result, in: span) {
            serverInfo = JSONScanner.copy(info, from: span)
        }
        if let capabilities = JSONScanner.member("capabilities", of: result, in: span) {
            self.capabilities = JSONScanner.copy(capabilities, from: span)
        }
        let version = JSONScanner.member("protocolVersion", of: result, in: span)
        protocolVersion = JSONScanner.string(version, in: span) ?? ""
    }
}
