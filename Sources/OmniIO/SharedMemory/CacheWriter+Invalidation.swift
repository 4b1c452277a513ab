internal import CShims.Cache
public import OmniCore

/// Invalidation is one store that every reader checks; the entries' memory is reclaimed later.
/// Also the names, because a number may change hands only across an invalidation.
extension CacheWriter {
    /// After this returns, no lookup anywhere that starts later answers with an entry of the
    /// server, and no fill that began earlier is accepted. Returns how many entries it ended.
    @discardableResult
    public func invalidate(server: String) -> Int {
        guard let number = names.server(named: server) else { return 0 }
        return invalidate(serverNumber: number)
    }

    @discardableResult
    public func invalidate(server: String, tool: String) -> Int {
        guard let server = names.server(named: server),
            let number = names.tool(named: tool, of: server)
        else { return 0 }
        return invalidate(toolNumber: number)
    }

    @discardableResult
    public func invalidateAll() -> Int {
        invalidAll = takeStamp()
        unsafe omni2_writer_invalidate_all(shared, invalidAll)
        return ended((0..<UInt16(toolLists.count)).reduce(0) { $0 + bury(tool: $1) })
    }

    /// Ends one entry at once, its memory included. False if there was none that a reader would
    /// have found.
    @discardableResult
    public func remove(_ key: CacheKey, at now: MonotonicTime) -> Bool {
        let now = advance(to: now)
        guard let slot = find(key) else { return false }
        let found = descriptor(slot)
        let wasValid = !isInvalid(found) && now < found.expires
        drop(slot)
        return ended(wasValid ? 1 : 0) == 1
    }

    private func invalidate(serverNumber: UInt16) -> Int {
        let stamp = takeStamp()
        unsafe omni2_writer_invalidate_server(shared, serverNumber, stamp)
        serverStamps[Int(serverNumber)] = stamp
        return ended(
            names.toolsOfServer[Int(serverNumber)].reduce(0) { $0 + bury(tool: $1) })
    }

    private func invalidate(toolNumber: UInt16) -> Int {
        let stamp = takeStamp()
        unsafe omni2_writer_invalidate_tool(shared, toolNumber, stamp)
        toolStamps[Int(toolNumber)] = stamp
        return ended(bury(tool: toolNumber))
    }

    /// Hands the tool's entries over to the dead, all at once.
    private func bury(tool: UInt16) -> Int {
        let count = toolEntries[Int(tool)]
        membership.splice(&toolLists[Int(tool)], behind: &deadList)
        toolEntries[Int(tool)] = 0
        entriesValid -= count
        return count
    }

    private func ended(_ entries: Int) -> Int {
        count(OMNI2_STAT_INVALIDATIONS, UInt64(entries))
        publishGauges()
        return entries
    }

    // MARK: - Names

    func originFor(server: String, tool: String) -> CacheOrigin {
        let serverNumber = names.server(named: server) ?? nameServer(server)
        let toolNumber =
            names.tool(named: tool, of: serverNumber) ?? nameTool(tool, of: serverNumber)
        return CacheOrigin(server: serverNumber, tool: toolNumber)
    }

    private func nameServer(_ name: String) -> UInt16 {
        let number = names.firstFreeServer ?? vacateServer()
        names.name(server: number, name)
        unsafe publish(
            name, parent: .max, in: omni2_writer_server_name(shared, UInt32(number)))
        return number
    }

    private func nameTool(_ name: String, of server: UInt16) -> UInt16 {
        let number = names.firstFreeTool ?? vacateTool()
        names.name(tool: number, name, of: server)
        unsafe publish(
            name, parent: UInt32(server), in: omni2_writer_tool_name(shared, UInt32(number)))
        return number
    }

    private func publish(
        _ name: String, parent: UInt32, in record: UnsafeMutablePointer<omni2_name>
    ) {
        var name = name
        name.withUTF8 { text in
            unsafe omni2_writer_set_name(
                record, takeStamp(), parent, text.baseAddress, UInt32(text.count))
        }
    }

    /// The tool with the fewest entries gives its number up, after its invalidation.
    private func vacateTool() -> UInt16 {
        let number = UInt16(toolEntries.indices.min { toolEntries[$0] < toolEntries[$1] } ?? 0)
        _ = invalidate(toolNumber: number)
        names.forget(tool: number)
        return number
    }

    private func vacateServer() -> UInt16 {
        let entries = names.toolsOfServer.map { $0.reduce(0) { $0 + toolEntries[Int($1)] } }
        let number = UInt16(entries.indices.min { entries[$0] < entries[$1] } ?? 0)
        _ = invalidate(serverNumber: number)
        for tool in names.toolsOfServer[Int(number)] {
            _ = invalidate(toolNumber: tool)
            names.forget(tool: tool)
        }
        names.forget(server: number)
        return number
    }
}
