import BusCore
import ClusterModel
import Testing
import Wire

@Suite("Facts of hosts on the bus")
struct HostFactsWireTests {
  @Test("the location of a host's API and the facts of its models are transferred")
  func roundTrip() throws {
    let host = Host(
      id: "h", url: "http://h/v4", omitsV1: true,
      models: [
        ModelOffer(id: "m", contextTokens: 7, facts: #""owned_by":"é""#), ModelOffer(id: "n"),
        ModelOffer(id: "alias", upstream: "m", kind: .embeddings, isHidden: true, rank: 3),
      ])
    let table = HostTable(epoch: 1, revision: 2, hosts: [host])
    let envelope = Envelope(
      messageID: 1, shape: .publish, sender: PeerID(name: "registry", incarnation: 1),
      body: .hostTable(table))
    #expect(try Envelope(decoding: try envelope.encoded()).body == .hostTable(table))
  }
}
