import Access
import ClusterModel
import GatewayCore
import HTTPTypes
import Hummingbird
import Money
import ServiceKit
import Telemetry
import Text

/// `GET /v1/usage`: the usage and the limits of the request's key. The request counts against no
/// limit.
extension GatewayShell {
  /// Assumed bytes of one row of the answer. They measure the work for the answer.
  private static let rowBytes = 256

  func addUsage(to router: Router<BasicRequestContext>) {
    router.get(RouterPath(UsageAnswer.path)) { request, _ in
      await self.usage(request)
    }
  }

  private func usage(_ request: Request) async -> Response {
    var rights = KeyRights()
    var response = await answered(request) { key in
      // Any valid key may see its own usage.
      guard let key else { throw UsageAnswer.withoutKeys }
      rights = KeyRights(key)
      let days = UsageAnswer.range(
        try UsageAnswer.days(
          request.uri.queryParameters.map { (name: String($0.key), value: String($0.value)) }),
        at: UnixTime.milliseconds())
      let report = await resources.reports.report(of: .key("\(key.id)"))
      let free = resources.keys.freeUse(of: key.id, days: days)
      let limits = resources.keys.remainders(for: key)
      let rows = (report?.rows.count ?? 0) + free.rows.count
      return try await resources.heavily(rows * Self.rowBytes, tag(of: request, key)) {
        UsageAnswer.json(key, limits, report, free, days: days).encoded
      }
    }
    response.headers[.cacheControl] = "no-store"
    response.headers.set(resources.keys.headers(for: rights))
    return response
  }
}
