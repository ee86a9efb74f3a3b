/// The line in which `tutti up` states whether requests need a key.
public enum AccessLine {
  /// - Parameter isOpen: whether no key was ever created. `nil` means not known.
  public static func text(isOpen: Bool?) -> String {
    switch isOpen {
    case true?: "open: no key exists; `tutti keys create NAME` makes one, then keys are required"
    case false?: "keys required"
    case nil: "not known: the registry did not answer; see `tutti keys list`"
    }
  }
}
