import BusCore
import ClusterModel
import Logging
import Synchronization
import Testing

@testable import ServiceKit

private func table(_ revision: UInt64, requests: Int, epoch: UInt64 = 1) -> RuntimeSettingsTable {
  var overrides = RuntimeOverrides()
  overrides.set(.gatewayRequests, to: .integer(requests))
  return RuntimeSettingsTable(epoch: epoch, revision: revision, overrides: overrides)
}

/// Values that a listener received.
private final class Received: Sendable {
  private let values = Mutex<[Int?]>([])

  var all: [Int?] { values.withLock(\.self) }

  func listen(to directory: SettingsDirectory) {
    directory.onChange { overrides in
      self.values.withLock { $0.append(overrides.integer(.gatewayRequests)) }
    }
  }
}

@Suite("Copy of the settings")
struct SettingsDirectoryTests {
  @Test("a listener gets the present overrides at once, and each change once")
  func listeners() {
    let directory = SettingsDirectory()
    let early = Received()
    early.listen(to: directory)
    #expect(directory.apply(.settingsTable(table(1, requests: 7))))
    #expect(directory.apply(.settingsTable(table(1, requests: 7))))
    let late = Received()
    late.listen(to: directory)
    #expect(directory.apply(.settingsTable(table(2, requests: 8))))
    #expect(!directory.apply(.ack))
    #expect(early.all == [nil, 7, 8] && late.all == [7, 8])
    #expect(directory.overrides.integer(.gatewayRequests) == 8)
  }

  @Test("it asks at the start until it is answered, and keeps the last table afterwards")
  func start() async throws {
    let asked = Mutex(0)
    let directory = SettingsDirectory(
      ask: { () throws(Failure) -> RuntimeSettingsTable in
        let number = asked.withLock { count in
          count += 1
          return count
        }
        guard number > 2 else { throw Failure(.noPeer, "no registry") }
        return table(4, requests: 9)
      }, pause: { _ in }, logger: Logger(label: "test"))
    let received = Received()
    received.listen(to: directory)
    await withTaskGroup(of: Void.self) { group in
      group.addTask { try? await directory.run() }
      while directory.overrides == .none { await Task.yield() }
      group.cancelAll()
    }
    #expect(asked.withLock(\.self) == 3)
    #expect(received.all == [nil, 9])
  }

  @Test("a publication of an earlier registry raises a question")
  func earlierRegistry() async throws {
    let directory = SettingsDirectory(
      ask: { () throws(Failure) -> RuntimeSettingsTable in table(1, requests: 5, epoch: 1) },
      logger: Logger(label: "test"))
    directory.apply(.settingsTable(table(1, requests: 6, epoch: 2)))
    #expect(directory.apply(.settingsTable(table(1, requests: 5, epoch: 1))))
    #expect(directory.overrides.integer(.gatewayRequests) == 6)
    await withTaskGroup(of: Void.self) { group in
      group.addTask { try? await directory.run() }
      while directory.overrides.integer(.gatewayRequests) == 6 { await Task.yield() }
      group.cancelAll()
    }
    #expect(directory.overrides.integer(.gatewayRequests) == 5)
  }

  @Test("the configuration of a setting has the range and default of the catalogue")
  func configuration() {
    for setting in RuntimeSetting.allCases {
      let own = Setting(setting)
      #expect(own.key == setting.id && own.defaultText == "\(setting.standard)")
      switch setting.range {
      case .integer(let range): #expect(own.kind == .integer(range))
      case .choice(let choices): #expect(own.kind == .choice(choices))
      case .name: #expect(own.kind == .text)
      }
    }
  }
}
