import Dispatch
import NIOCore
import Synchronization
import Testing

@testable import ServiceKit

@Suite("A page for all requests that wait for it", .timeLimit(.minutes(1)))
struct SharedPageTests {
  /// Makes numbered pages. If `isGated` is true, the first page waits for `mayEnd`.
  private final class Maker: Sendable {
    private let isGated: Bool
    let count = Atomic(0)
    let begins = DispatchSemaphore(value: 0)
    let mayEnd = DispatchSemaphore(value: 0)

    init(isGated: Bool) { self.isGated = isGated }

    func make() -> String {
      let number = count.add(1, ordering: .relaxed).newValue
      if isGated, number == 1 {
        begins.signal()
        mayEnd.wait()
      }
      return "page \(number)"
    }
  }

  @Test("a hundred requests at once cost two pages, and none is older than its request")
  func flood() async {
    let maker = Maker(isGated: true)
    let page = SharedPage { maker.make() }
    let texts = await withTaskGroup(of: String.self) { group in
      group.addTask { String(buffer: await page.page()) }
      await withCheckedContinuation { hasBegun in
        DispatchQueue.global().async {
          maker.begins.wait()
          hasBegun.resume()
        }
      }
      for _ in 0..<99 { group.addTask { String(buffer: await page.page()) } }
      while page.waitingCount < 99 { await Task.yield() }
      maker.mayEnd.signal()
      return await group.reduce(into: [String: Int]()) { $0[$1, default: 0] += 1 }
    }
    #expect(texts == ["page 1": 1, "page 2": 99])
    #expect(maker.count.load(ordering: .relaxed) == 2)
  }

  @Test("each request after the last page gets a new one")
  func fresh() async {
    let maker = Maker(isGated: false)
    let page = SharedPage { maker.make() }
    for number in 1...3 { #expect(String(buffer: await page.page()) == "page \(number)") }
  }
}
