/// What models cost, in dollars per million tokens: `model=input/output[/cached]`.
///
/// The entry whose name is the longest beginning of the model's name counts; `*` is any model.
struct PriceTable: Sendable, Hashable {
    struct Price: Sendable, Hashable {
        var model: String
        var input: Double
        var output: Double
        /// Input that the service had kept from an earlier request.
        var cached: Double

        init?(_ text: String) {
            guard let equals = text.lastIndex(of: "="), equals != text.startIndex else {
                return nil
            }
            let numbers = text[text.index(after: equals)...]
                .split(separator: "/", omittingEmptySubsequences: false).map { Double($0) }
            guard (2...3).contains(numbers.count),
                numbers.allSatisfy({ $0.map { $0 >= 0 && $0 < 1e6 } ?? false }),
                let input = numbers[0], let output = numbers[1]
            else { return nil }
            model = String(text[..<equals])
            self.input = input
            self.output = output
            cached = numbers.count == 3 ? numbers[2] ?? input : input
        }

        var text: String { "\(model)=\(input)/\(output)/\(cached)" }
    }

    var prices: [Price]

    /// Nil for a model that nobody has set a price for.
    func price(of model: String) -> Price? {
        prices.filter { model.hasPrefix($0.model) }.max { $0.model.count < $1.model.count }
            ?? prices.first { $0.model == "*" }
    }

    func dollars(_ usage: ModelUsage, of model: String) -> Double {
        guard let price = price(of: model) else { return 0 }
        let sum =
            Double(usage.input) * price.input + Double(usage.output) * price.output
            + Double(usage.cached) * price.cached
        return sum / 1e6
    }
}
