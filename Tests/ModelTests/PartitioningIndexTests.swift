import ClusterModel
import Testing

@Suite("The first element that meets a condition")
struct PartitioningIndexTests {
  @Test("is found in sorted collections of every small size")
  func sorted() {
    for size in 0...33 {
      let numbers = (0..<size).map { 2 * $0 }
      for wanted in -1...(2 * size) {
        let expected = numbers.firstIndex { $0 >= wanted } ?? size
        #expect(numbers.partitioningIndex { $0 >= wanted } == expected)
        let slice = numbers.dropFirst(3)
        let inSlice = slice.firstIndex { $0 >= wanted } ?? slice.endIndex
        #expect(slice.partitioningIndex { $0 >= wanted } == inSlice)
      }
    }
  }

  @Test("is found with a number of calls that grows as the logarithm of the size")
  func calls() {
    var calls = 0
    let index = (0..<1_000_000).partitioningIndex {
      calls += 1
      return $0 >= 777_777
    }
    #expect(index == 777_777 && calls <= 20)
  }
}
