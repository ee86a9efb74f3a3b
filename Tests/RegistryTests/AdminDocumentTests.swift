import ClusterModel
import Foundation
import HTTPTypes
import Testing

@testable import RegistryService

@Suite("The description of the admin API")
struct AdminDocumentTests {
  private typealias Object = [String: Any]

  private let document: Object

  init() throws {
    document = try #require(
      JSONSerialization.jsonObject(with: Data(adminOpenAPI.utf8)) as? Object)
  }

  /// The object at a place such as `#/components/schemas/Host`.
  private func object(at place: String) -> Object? {
    place.split(separator: "/").dropFirst().reduce(document as Object?) { object, name in
      object?[String(name)] as? Object
    }
  }

  private struct Route {
    let method: String
    let path: String
    let operation: [String: Any]

    var statuses: Set<Int> {
      Set((operation["responses"] as? [String: Any] ?? [:]).keys.compactMap { Int($0) })
    }
  }

  private func routes() throws -> [Route] {
    let paths = try #require(document["paths"] as? [String: Object])
    return paths.flatMap { path, item in
      item.compactMap { method, operation -> Route? in
        guard method != "parameters", var operation = operation as? Object else { return nil }
        let shared = item["parameters"] as? [Any] ?? []
        operation["parameters"] = (operation["parameters"] as? [Any] ?? []) + shared
        return Route(method: method, path: path, operation: operation)
      }
    }
  }

  private func parameters(of route: Route) -> [Object] {
    (route.operation["parameters"] as? [Object] ?? []).compactMap { parameter in
      (parameter["$ref"] as? String).map { object(at: $0) } ?? parameter
    }
  }

  @Test("every route describes the errors that any request may get, and those of its parameters")
  func errors() throws {
    let routes = try routes()
    #expect(routes.count > 40)
    for route in routes {
      let name = "\(route.method) \(route.path)"
      let isOpen = (route.operation["security"] as? [Any])?.isEmpty == true
      let common: Set = [400, 401, 403, 408, 413, 429, 431, 500, 503]
      #expect(route.statuses.isSuperset(of: common.subtracting(isOpen ? [401] : [])), "\(name)")
      let parameters = parameters(of: route)
      if parameters.contains(where: { $0["name"] as? String == "If-Match" }) {
        #expect(route.statuses.contains(412), "\(name)")
      }
      if parameters.contains(where: { $0["in"] as? String == "path" }) {
        #expect(route.statuses.contains(404), "\(name)")
      }
    }
  }

  @Test("every parameter of a path or a number has limits, and every body has an example")
  func limits() throws {
    for route in try routes() {
      for parameter in parameters(of: route) {
        let name = "\(route.method) \(route.path): \(parameter["name"] ?? "")"
        let schema = try #require(parameter["schema"] as? Object, "\(name)")
        if parameter["in"] as? String == "path" {
          #expect(schema["pattern"] != nil || schema["maxLength"] != nil, "\(name)")
        }
        if schema["type"] as? String == "integer" { #expect(schema["minimum"] != nil, "\(name)") }
      }
      guard let body = route.operation["requestBody"] as? Object else { continue }
      let content = body["content"] as? [String: Object]
      #expect(
        content?["application/json"]?["example"] is Object, "\(route.method) \(route.path)")
    }
  }

  @Test("every reference has a target")
  func references() throws {
    var count = 0
    for match in adminOpenAPI.matches(of: /"\$ref": "([^"]+)"/) {
      count += 1
      #expect(object(at: String(match.1)) != nil, "\(match.1)")
    }
    #expect(count > 100)
  }

  /// Codes that an error of a route may have; `nil` if the status is not described.
  private func codes(_ method: HTTPRequest.Method, _ path: String, status: Int) throws -> [String]?
  {
    let parts = path.prefix { $0 != "?" }.split(separator: "/")
    let route = try #require(
      try routes().first { route in
        let pattern = route.path.split(separator: "/").dropFirst(2)
        return route.method == method.rawValue.lowercased() && pattern.count == parts.count
          && zip(pattern, parts).allSatisfy { $0 == $1 || $0.hasPrefix("{") }
      }, "\(method) \(path)")
    let responses = route.operation["responses"] as? [String: Object]
    guard let reference = responses?["\(status)"]?["$ref"] as? String,
      let content = object(at: reference)?["content"] as? [String: Object],
      let schema = content["application/json"]?["schema"] as? Object,
      let parts = schema["allOf"] as? [Object],
      let error = (parts.last?["properties"] as? Object)?["error"] as? Object,
      let code = (error["properties"] as? Object)?["code"] as? Object
    else { return nil }
    return code["enum"] as? [String]
  }

  private struct Problem: Decodable {
    struct Content: Decodable {
      let code: String
    }

    let error: Content
  }

  private struct Refused: Sendable {
    let method: HTTPRequest.Method
    let path: String
    let expected: Int
    let answer: TestRegistry.Answer
  }

  @Test("errors that the registry answers with are described, with their codes")
  func answers() async throws {
    let scratch = try TestRegistry.Scratch()
    let refusals = try await TestRegistry.run(in: scratch) { registry in
      let host = #"{"url": "http://127.0.0.1:9", "id": "a"}"#
      _ = try await registry.send(.post, "/hosts", host)
      let made = try await registry.send(.post, "/keys", #"{"name": "n"}"#)
      let id = try #require(made.text.firstMatch(of: /"id":"([a-z2-7]+)"/)).1
      _ = try await registry.send(.delete, "/keys/\(id)")
      try await TestRegistry.refuseChanges(of: scratch.path + "/registry.sqlite")
      let requests: [(HTTPRequest.Method, String, String, Int)] = [
        (.post, "/hosts", host, 409), (.post, "/hosts", "{", 400),
        (.get, "/hosts?state=away", "", 400), (.get, "/hosts/b", "", 404),
        (.patch, "/hosts/a", #"{"region": "x"}"#, 500), (.post, "/hosts/a/drain", "", 500),
        (.delete, "/hosts/b", "", 404), (.post, "/keys", "{}", 400),
        (.patch, "/keys/\(id)", #"{"name": "m"}"#, 409), (.post, "/keys/\(id)/rotate", "", 409),
        (.get, "/keys/none", "", 404), (.get, "/audit?limit=0", "", 400),
      ]
      var refusals: [Refused] = []
      for (method, path, body, status) in requests {
        refusals.append(
          Refused(
            method: method, path: path, expected: status,
            answer: try await registry.send(method, path, body)))
      }
      return refusals
    }
    for refused in refusals {
      let name = "\(refused.method) \(refused.path)"
      #expect(refused.answer.status == refused.expected, "\(name): \(refused.answer)")
      let problem = try JSONDecoder().decode(Problem.self, from: Data(refused.answer.text.utf8))
      let described = try codes(refused.method, refused.path, status: refused.expected)
      #expect(described?.contains(problem.error.code) == true, "\(name): \(problem)")
    }
  }
}
