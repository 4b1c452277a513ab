import OmniCore
import Testing

@testable import omni2_native

@Suite("OpenAPI")
struct OpenAPITests {
    private func router() -> Router {
        var router = Router()
        router.on(
            .get, "/api/v1/things/{id}", .viewer,
            "Shows a thing".described.asking(.number("limit", 1...9, "how many"))
                .answering(.ok, .reply(.required("thing", .map(.any))))
        ) { _ in }
        router.on(
            .post, "/api/v1/things", .administrator,
            "Adds a thing".described.taking(.object(.required("name", .shortText)))
                .answering(.created, .reply())
        ) { _ in }
        router.on(.get, "/open", .open) { _ in }
        return router
    }

    @Test func everyRouteIsInTheDocumentAndNothingElse() {
        let routes = router().all
        let paths = OpenAPI(routes: routes, version: "1").document["paths"]?.object
        let documented = (paths?.members ?? []).flatMap { path in
            (path.value.object?.names ?? []).map { "\($0) \(path.name)" }
        }
        #expect(
            Set(documented)
                == Set(routes.map { "\($0.method.name.lowercased()) \($0.pattern)" }))
    }

    @Test func whatARouteTakesIsWhatTheDocumentSays() {
        let document = OpenAPI(routes: router().all, version: "1").document
        let show = document["paths"]?["/api/v1/things/{id}"]?["get"]
        #expect(show?["parameters"]?[0]?["in"] == "path")
        #expect(
            show?["parameters"]?[1]?["schema"] == ["type": "integer", "minimum": 1, "maximum": 9])
        #expect(
            show?["responses"]?["200"]?["content"]?["application/json"]?["schema"]?["required"]
                == ["success", "thing"])
        let add = document["paths"]?["/api/v1/things"]?["post"]
        #expect(add?["requestBody"]?["required"] == true)
        #expect(add?["responses"]?["default"] != nil)
        #expect(document["paths"]?["/open"]?["get"]?["security"] == [])
        #expect(add?["security"] == nil)
    }
}
