import RegistryCore
import Testing

@Suite("Entity tags of requests")
struct EntityTagsTests {
  @Test(
    "tags are read with their quotes, and other texts match nothing",
    arguments: [
      ([], nil), ([#""1""#], [#""1""#]),
      ([#" "1" ,"23""#, #""4""#], [#""1""#, #""23""#, #""4""#]),
      ([#""1", *"#], nil), (["*"], nil), (["1"], []), ([#"W/"1""#], []), ([#""""#], []), ([""], []),
      ([#"" "#], []), ([#""é\#u{301}""#], [#""é\#u{301}""#]),
    ] as [([String], Set<String>?)])
  func parse(values: [String], tags: Set<String>?) {
    #expect(EntityTags.parse(ifMatch: values) == tags)
  }
}
