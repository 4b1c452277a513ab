internal import CShims.Cache

/// Numbers for servers and tools, and back: the descriptors have 16 bits for each.
///
/// The table is also in the segment, so that a successor knows what the numbers of the entries it
/// keeps stand for. A number is given to a new name only when its old one is idle, and only after
/// the writer raised its invalidation stamp: no entry and no fill can cross over.
struct CacheNames {
    struct Tool {
        var server: UInt16
        var name: String
    }

    private(set) var servers: [String?]
    private(set) var tools: [Tool?]
    private var serverNumbers: [String: UInt16] = [:]
    private var toolNumbers: [ToolName: UInt16] = [:]
    /// Tools of each server, for invalidating a server.
    private(set) var toolsOfServer: [[UInt16]]

    private struct ToolName: Hashable {
        var server: UInt16
        var name: String
    }

    init(servers: Int, tools: Int) {
        self.servers = Array(repeating: nil, count: servers)
        self.tools = Array(repeating: nil, count: tools)
        toolsOfServer = Array(repeating: [], count: servers)
    }

    func server(named name: String) -> UInt16? { serverNumbers[name] }

    func tool(named name: String, of server: UInt16) -> UInt16? {
        toolNumbers[ToolName(server: server, name: name)]
    }

    var firstFreeServer: UInt16? { servers.firstIndex { $0 == nil }.map { UInt16($0) } }
    var firstFreeTool: UInt16? { tools.firstIndex { $0 == nil }.map { UInt16($0) } }

    mutating func name(server: UInt16, _ name: String) {
        servers[Int(server)] = name
        serverNumbers[name] = server
    }

    mutating func name(tool: UInt16, _ name: String, of server: UInt16) {
        tools[Int(tool)] = Tool(server: server, name: name)
        toolNumbers[ToolName(server: server, name: name)] = tool
        toolsOfServer[Int(server)].append(tool)
    }

    mutating func forget(tool: UInt16) {
        guard let old = tools[Int(tool)] else { return }
        tools[Int(tool)] = nil
        toolNumbers[ToolName(server: old.server, name: old.name)] = nil
        toolsOfServer[Int(old.server)].removeAll { $0 == tool }
    }

    /// The server's tools must have been forgotten before.
    mutating func forget(server: UInt16) {
        guard let old = servers[Int(server)] else { return }
        servers[Int(server)] = nil
        serverNumbers[old] = nil
    }
}
