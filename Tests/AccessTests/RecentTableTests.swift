import ClusterModel
import Testing

@testable import Access

@Suite("Recent table")
struct RecentTableTests {
  @Test("it behaves like a list from which the least recently used entry leaves", arguments: 0..<30)
  func property(seed: UInt64) {
    var rng = SplitMix64(seed: seed)
    let capacity = Int.random(in: 1...8, using: &rng)
    var table = RecentTable<Int, Int>(capacity: capacity)
    var model: [(key: Int, value: Int)] = []
    for step in 0..<1_000 {
      let key = Int.random(in: 0..<12, using: &rng)
      if Bool.random(using: &rng) {
        let before = model.firstIndex { $0.key == key }.map { model.remove(at: $0).value } ?? 0
        if model.count == capacity { model.remove(at: 0) }
        model.append((key, before + step))
        let result = table.use(key, initial: 0) { value in
          value += step
          return value
        }
        #expect(result == before + step)
      } else {
        let place = model.firstIndex { $0.key == key }
        let changed: Int? = table.change(key) { value in
          value -= 1
          return value
        }
        if let place { model[place].value -= 1 }
        #expect(changed == place.map { model[$0].value })
      }
      #expect(table.count == model.count)
      for entry in model { #expect(table.change(entry.key) { $0 } == entry.value) }
    }
  }
}
