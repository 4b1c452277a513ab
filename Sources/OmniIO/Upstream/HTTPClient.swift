public import OmniCore

public final class HTTPClient {
    private let io: any IO

    public init(io: any IO) { self.io = io }
}
