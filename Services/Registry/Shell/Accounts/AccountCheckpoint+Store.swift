import ClusterModel
import Foundation
import Money
import RegistryCore
import Store

// Conversion of checkpoints between the form of the book and that of the store.

extension LedgerCheckpoint {
  init(_ checkpoint: AccountCheckpoint) throws(Failure) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
      self.init(
        position: checkpoint.position,
        json: String(decoding: try encoder.encode(checkpoint), as: UTF8.self),
        ids: checkpoint.rememberedIDs)
    } catch {
      throw Failure(.internalError, "A checkpoint could not be written as JSON: \(error)")
    }
  }
}

extension AccountCheckpoint {
  init(_ stored: ReadCheckpoint) throws(CheckpointFault) {
    guard case .intact(let stored) = stored else {
      throw CheckpointFault("its checksum is wrong")
    }
    do {
      self = try JSONDecoder().decode(Self.self, from: Data(stored.json.utf8))
        .adding(rememberedIDs: stored.ids)
    } catch let fault as CheckpointFault {
      throw fault
    } catch {
      throw CheckpointFault("it cannot be read")
    }
    guard position == stored.position else {
      throw CheckpointFault("it covers another place than its own")
    }
  }
}
