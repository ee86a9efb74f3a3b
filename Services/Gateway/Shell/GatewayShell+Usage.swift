import Access
import ClusterModel
import GatewayCore
import HTTPTypes
import Hummingbird
import Money
import ServiceKit
import Telemetry
import Text

/// `GET /v1/usage`: what the request's key has used, and what it may use. The answer counts against
/// no limit.
extension GatewayShell {
  func addUsage(to router: Router<BasicRequestContext>) {
    router.get(RouterPath(UsageAnswer.path)) { request, _ in
      let trace = TraceContext.fresh()
      do throws(Failure) {
        return try await self.usage(request, trace)
      } catch {
        return self.refusal(error, trace)
      }
    }
  }

  private func usage(_ request: Request, _ trace: TraceContext) async throws(Failure) -> Response {
    // Any valid key may see its own usage.
    guard let key = try resources.context.keys.check(request, for: AccessNeed()) else {
      throw UsageAnswer.withoutKeys
    }
    let days = UsageAnswer.range(
      try UsageAnswer.days(
        request.uri.queryParameters.map { (name: String($0.key), value: String($0.value)) }),
      at: UnixTime.milliseconds())
    let report = await resources.reports.report(of: .key("\(key.id)"))
    let answer = UsageAnswer.json(
      key, resources.keys.remainders(for: key), report,
      resources.keys.freeUse(of: key.id, days: days), days: days)
    var response = Response(json: answer.encoded, trace)
    response.headers[.cacheControl] = "no-store"
    response.headers.set(resources.keys.headers(for: KeyRights(key)))
    return response
  }
}
