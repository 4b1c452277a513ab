/// Which server a task handle belongs to, so that questions about it find their way.
///
/// Learned from the results that made the tasks; bounded, the oldest are forgotten. A task is its
/// maker's: another principal's question finds nothing.
final class TaskOwners {
    private struct Owner {
        let server: Int
        let principal: String
    }

    private var owners: [String: Owner] = [:]
    private var order: [String] = []
    private static let countMax = 10_000

    func note(_ task: String, server: Int, principal: Principal) {
        if owners.updateValue(Owner(server: server, principal: principal.id), forKey: task) == nil {
            order.append(task)
        }
        guard order.count > Self.countMax else { return }
        for task in order.prefix(Self.countMax / 10) { owners[task] = nil }
        order.removeFirst(Self.countMax / 10)
    }

    func owner(of task: String, for principal: Principal) -> Int? {
        guard let owner = owners[task], owner.principal == principal.id else { return nil }
        return owner.server
    }
}
