import ClusterModel
import Limits
import Money
import RegistryCore

/// Routes of accounts, prices and the ledger.
extension AdminDocument {
  private static let time =
    #"{"type": "integer", "minimum": \#(UTCDate.times.lowerBound), "#
    + #""maximum": \#(UTCDate.times.upperBound)}"#
  private static let format = query(
    "format", #"{"enum": ["csv", "jsonl"], "default": "jsonl"}"#, "Form of the lines")
  /// Parameters of a range of times.
  static let timeFilters = [
    query("from_ms", time, "First time"), query("to_ms", time, "First time that is left out"),
  ].joined(separator: ", ")
  private static let ledgerFilters = [
    query("account", string, "Transactions with an entry of this account"), timeFilters,
    query("kind", #"{"enum": [\#(values(of: LedgerTransaction.Kind.self))]}"#, "Kind"),
    query("key", string, "Id of the key for which a gateway held, released or spent credits"),
    query("trace", string, "Trace of the request that a settlement bills"),
    query("order", #"{"enum": ["asc", "desc"], "default": "desc"}"#, "By time"),
  ].joined(separator: ", ")
  private static let cursor = query(
    "after", #"{"type": "string", "pattern": "^-?[0-9]+:[0-9]+$"}"#,
    "Member next of the previous page")
  private static let priceCursor = query(
    "after", #"{"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}"#,
    "Member next of the previous page")
  private static let nextPage = #", "next": {"type": ["string", "null"]}"#
  private static let at = query("at_ms", time, "Includes entries of this time; default: all")

  private static let organisation = answer("Organisation", tag: recordTag)
  private static let team = answer("Team", tag: recordTag)
  private static let keyBudgets = answer(
    "KeyBudgets", tag: #"Changes with the budgets; \"0\" if there never were any"#)
  private static let tariff = answer("Tariff", tag: recordTag)

  static let accountPaths = #"""
    "/admin/v1/organisations": {
      "get": {
        "summary": "List organisations by id", "parameters": [\#(pageLimit), \#(afterID)],
        \#(responses(page(of: "Organisation")))
      },
      "post": {
        "summary": "Create an organisation",
        \#(body(
          "NewOrganisation",
          example: #"{"id": "acme", "name": "Acme Inc.", "prepaid": true, "#
            + #""budgets": [{"amount": "100", "period": "month", "warnings": [800]}]}"#)),
        \#(responses(answer("Organisation", status: 201, tag: recordTag), 409))
      }
    },
    "/admin/v1/organisations/{id}": {
      "parameters": [\#(parameter("OrganisationID"))],
      "get": {
        "summary": "One organisation with its balance and the spending of its budgets",
        \#(responses(organisation, 404))
      },
      "patch": {
        "summary": "Change an organisation; absent members stay",
        "parameters": [\#(parameter("IfMatch"))],
        \#(body("OrganisationChange", example: #"{"prepaid": false}"#)),
        \#(responses(organisation, 404, 412))
      },
      "delete": {
        "summary": "Remove an organisation without keys that can be used, teams, balance and holds; its ledger entries stay, and with entries its id is not used again",
        "parameters": [\#(parameter("IfMatch"))],
        \#(responses(removal(of: "organisation"), 404, 409, 412))
      }
    },
    "/admin/v1/teams": {
      "get": {
        "summary": "List teams by id",
        "parameters": [\#(pageLimit), \#(afterID),
          \#(query("organisation", string, "Teams of this organisation"))],
        \#(responses(page(of: "Team")))
      },
      "post": {
        "summary": "Create a team",
        \#(body("NewTeam", example: #"{"id": "acme/research", "name": "Research"}"#)),
        \#(responses(answer("Team", status: 201, tag: recordTag), 409))
      }
    },
    "/admin/v1/organisations/{id}/teams/{team}": {
      "parameters": [\#(parameter("OrganisationID")), \#(parameter("TeamName"))],
      "get": {
        "summary": "One team with the spending of its budgets",
        \#(responses(team, 404))
      },
      "patch": {
        "summary": "Change a team; absent members stay",
        "parameters": [\#(parameter("IfMatch"))],
        \#(body(
          "TeamChange",
          example: #"{"budgets": [{"amount": "12.50", "period": "day", "window": "rolling"}]}"#)),
        \#(responses(team, 404, 412))
      },
      "delete": {
        "summary": "Remove a team without keys that can be used and holds",
        "parameters": [\#(parameter("IfMatch"))],
        \#(responses(removal(of: "team"), 404, 409, 412))
      }
    },
    "/admin/v1/key-budgets/{id}": {
      "parameters": [\#(parameter("KeyID"))],
      "get": {
        "summary": "Budgets of one key with their spending",
        \#(responses(keyBudgets, 404))
      },
      "put": {
        "summary": "Replace the budgets of a key",
        "parameters": [\#(parameter("IfMatch"))],
        \#(body(
          "KeyBudgetsChange", example: #"{"budgets": [{"amount": "1", "period": "hour"}]}"#)),
        \#(responses(keyBudgets, 404, 412))
      }
    },
    "/admin/v1/prices": {
      "get": {
        "summary": "List prices by model, host and time",
        "parameters": [\#(pageLimit), \#(priceCursor),
          \#(query("model", string, "Prices of this model"))],
        \#(responses(page(of: "Price", nextPage)))
      },
      "post": {
        "summary": "Add a price; it replaces the present one from its time on",
        \#(body(
          "NewPrice", example: #"{"model": "qwen3", "input": "0.15", "output": "0.60"}"#)),
        \#(responses(answer("Price", status: 201, tag: recordTag)))
      },
      "delete": {
        "summary": "Withdraw a price that starts in \#(PriceBook.withdrawalNotice / 1_000) s or later; it stays in the audit log",
        "parameters": [\#(parameter("IfMatch")),
          \#(query("model", string, "Model of the price", isRequired: true)),
          \#(query("host", string, "The host that earns the price; absent: the price that clients pay")),
          \#(query("effective_from_ms", time, "Start of the price", isRequired: true))],
        \#(responses(answer("Price"), 404, 412))
      }
    },
    "/admin/v1/tariff": {
      "get": {
        "summary": "Treatment of models without a price, and pay of race losers",
        \#(responses(tariff))
      },
      "patch": {
        "summary": "Change the tariff; absent members stay",
        "parameters": [\#(parameter("IfMatch"))],
        \#(body("TariffChange", example: #"{"unknown_price": "refuse"}"#)),
        \#(responses(tariff, 412))
      }
    },
    "/admin/v1/transfers": {
      "post": {
        "summary": "Add or take back credits, record a payout, or correct the ledger; a repetition with the same id moves nothing and answers 200",
        \#(body(
          "NewTransfer",
          example: #"{"id": "invoice-17", "kind": "credit", "organisation": "acme", "#
            + #""amount": "100", "note": "invoice 17"}"#)),
        \#(responses(
          answer("Transfer") + ", " + answer("Transfer", status: 201), 409))
      }
    },
    "/admin/v1/ledger": {
      "get": {
        "summary": "List transactions by time. With kind, key or trace, at most \#(Limits.ledgerScan.value) are read for a page, so a page may have few or none although next has a place",
        "parameters": [\#(pageLimit), \#(ledgerFilters), \#(cursor)],
        \#(responses(page(of: "Transaction", nextPage)))
      }
    },
    "/admin/v1/ledger/balances": {
      "get": {
        "summary": "Balances of all accounts by name",
        "parameters": [\#(pageLimit),
          \#(query("after", string, "Last account of the previous page")), \#(at)],
        \#(responses(page(of: "Balance")))
      }
    },
    "/admin/v1/ledger/balance": {
      "get": {
        "summary": "Balance of one account; 0 if it has no entry",
        "parameters": [
          \#(query(
            "account", string, "org/ID, holds/ID, host/ID, issued, margin or paid",
            isRequired: true)),
          \#(at)],
        \#(responses(answer("Balance")))
      }
    },
    "/admin/v1/ledger/export": {
      "get": {
        "summary": "All transactions, the oldest first; CSV has one line per entry",
        "parameters": [\#(format), \#(ledgerFilters), \#(cursor)],
        \#(responses(
          #""200": {"description": "The transactions. If a later page cannot be read, the connection ends without the last chunk", "content": {"#
            + #""application/jsonl": {"schema": {"type": "string"}}, "#
            + #""text/csv": {"schema": {"type": "string"}}}}"#))
      }
    },
    "/admin/v1/ledger/verify": {
      "get": {
        "summary": "Prove the ledger: every transaction, lease and balance",
        \#(responses(answer("Verification")))
      }
    },
    """#

  static let accountParameters = #"""
    "OrganisationID": {"name": "id", "in": "path", "required": true, "schema": \#(accountID),
      "example": "acme"},
    "TeamName": {"name": "team", "in": "path", "required": true, "schema": \#(accountID),
      "description": "The team without its organisation", "example": "research"},
    """#

  private static let digits =
    #""pattern": "^[0-9]+([.][0-9]{1,6})?$", "maxLength": \#(Limits.amountBytes.value)"#
  private static let amount =
    #"{"type": "string", \#(digits), "description": "Credits with at most 6 decimals"}"#
  private static let signedAmount =
    #"{"type": "string", "pattern": "^-?[0-9]+([.][0-9]{1,6})?$", "#
    + #""description": "Credits with at most 6 decimals"}"#
  private static let accountID =
    #"{"type": "string", "pattern": "^(?![.]{1,2}$)[a-z0-9._-]{1,64}$"}"#
  private static let teamID =
    #"{"type": "string", "#
    + #""pattern": "^(?![.]{1,2}/)[a-z0-9._-]{1,64}/(?![.]{1,2}$)[a-z0-9._-]{1,64}$"}"#
  private static let name = #"{"type": "string", "minLength": 1, "maxLength": 256}"#
  private static let budgets =
    #"{"type": "array", "maxItems": \#(Limits.accountBudgets.value), "#
    + ##""items": {"$ref": "#/components/schemas/NewBudget"}}"##

  static let accountSchemas = #"""
    "NewBudget": {"type": "object", "additionalProperties": false,
      "required": ["amount", "period"],
      "properties": {"amount": \#(amount), "period": {"enum": [\#(values(of: BudgetPeriod.self))]},
        "window": {"enum": [\#(values(of: BudgetWindow.Kind.self))], "default": "calendar",
          "description": "calendar: periods in UTC; rolling: the last period at any time"},
        "warnings": {"type": "array", "maxItems": \#(Limits.budgetWarnings.value),
          "items": {"type": "integer", "minimum": 1, "maximum": 1000},
          "description": "Thresholds in thousandths of the amount"}}},
    "Budget": {"type": "object",
      "required": ["amount", "period", "window", "warnings", "spent"],
      "properties": {"amount": \#(amount), "period": {"enum": [\#(values(of: BudgetPeriod.self))]},
        "window": {"enum": [\#(values(of: BudgetWindow.Kind.self))]},
        "warnings": {"type": "array", "items": {"type": "integer"}},
        "spent": \#(amount)}},
    "NewOrganisation": {"type": "object", "additionalProperties": false, "required": ["id"],
      "properties": {"id": \#(accountID), "name": \#(name),
        "prepaid": {"type": "boolean", "default": false}, "budgets": \#(budgets)}},
    "OrganisationChange": {"type": "object", "additionalProperties": false,
      "properties": {"id": \#(accountID), "name": \#(name), "prepaid": {"type": "boolean"},
        "budgets": \#(budgets)}},
    "Organisation": {"type": "object",
      "required": ["object", "id", "name", "prepaid", "budgets", "balance", "held"],
      "properties": {"object": {"const": "organisation"}, "id": {"type": "string"},
        "name": {"type": "string"}, "prepaid": {"type": "boolean"},
        "budgets": {"type": "array", "items": {"$ref": "#/components/schemas/Budget"}},
        "balance": \#(signedAmount), "held": \#(signedAmount)}},
    "NewTeam": {"type": "object", "additionalProperties": false, "required": ["id"],
      "properties": {"id": \#(teamID), "name": \#(name), "budgets": \#(budgets)}},
    "TeamChange": {"type": "object", "additionalProperties": false,
      "properties": {"id": \#(teamID), "name": \#(name), "budgets": \#(budgets)}},
    "Team": {"type": "object", "required": ["object", "id", "name", "budgets"],
      "properties": {"object": {"const": "team"}, "id": {"type": "string"},
        "name": {"type": "string"},
        "budgets": {"type": "array", "items": {"$ref": "#/components/schemas/Budget"}}}},
    "KeyBudgetsChange": {"type": "object", "additionalProperties": false,
      "required": ["budgets"], "properties": {"budgets": \#(budgets)}},
    "KeyBudgets": {"type": "object", "required": ["object", "key", "budgets"],
      "properties": {"object": {"const": "key_budgets"}, "key": {"type": "string"},
        "budgets": {"type": "array", "items": {"$ref": "#/components/schemas/Budget"}}}},
    "NewPrice": {"type": "object", "additionalProperties": false,
      "required": ["model", "input", "output"],
      "properties": {"model": \#(name),
        "host": {"type": ["string", "null"], "minLength": 1, "maxLength": 256,
          "description": "The host that earns this price; null: the price that clients pay"},
        "input": \#(amount),
        "cached_input": {"type": ["string", "null"], \#(digits),
          "description": "Default: the price of input"},
        "output": \#(amount),
        "effective_from_ms": {"type": ["integer", "null"], "minimum": 0,
          "maximum": \#(UTCDate.times.upperBound),
          "description": "Default: a second from now; never in the past"}}},
    "Price": {"type": "object",
      "required": ["model", "input", "cached_input", "output", "effective_from_ms"],
      "properties": {"model": {"type": "string"}, "host": {"type": "string"},
        "input": \#(amount), "cached_input": \#(amount), "output": \#(amount),
        "effective_from_ms": {"type": "integer"},
        "withdrawn": {"const": true, "description": "In the answer of a withdrawal only"}}},
    "PayoutRule": {"type": "object",
      "required": ["reservation_fee", "progress_fee_per_million", "per_mille_of_winner"],
      "properties": {"reservation_fee": \#(amount), "progress_fee_per_million": \#(amount),
        "per_mille_of_winner": {"type": "integer",
          "minimum": \#(PayoutRule.shares.lowerBound),
          "maximum": \#(PayoutRule.shares.upperBound),
          "description": "Most that a race loser earns, in thousandths of the winner's pay"}}},
    "TariffChange": {"type": "object", "additionalProperties": false,
      "properties": {"unknown_price": {"enum": [\#(values(of: UnknownPrice.self))]},
        "payout_rule": {"$ref": "#/components/schemas/PayoutRule"}}},
    "Tariff": {"type": "object", "required": ["object", "unknown_price", "payout_rule"],
      "properties": {"object": {"const": "tariff"},
        "unknown_price": {"enum": [\#(values(of: UnknownPrice.self))]},
        "payout_rule": {"$ref": "#/components/schemas/PayoutRule"}}},
    "NewTransfer": {"type": "object", "additionalProperties": false, "required": ["kind"],
      "properties": {
        "id": {"type": ["string", "null"], "minLength": 1, "maxLength": 256,
          "description": "Chosen by the client, so that a repetition moves nothing"},
        "kind": {"enum": ["credit", "debit", "payout", "correction"]},
        "amount": {"type": "string", \#(digits), "description": "Of a credit, a debit or a payout"},
        "organisation": {"type": "string", "description": "Of a credit or a debit"},
        "host": {"type": "string", "description": "Of a payout"},
        "entries": {"type": "array", "maxItems": \#(Limits.transactionEntries.value),
          "description": "Of a correction; the amounts sum to 0",
          "items": {"$ref": "#/components/schemas/Entry"}},
        "note": {"type": ["string", "null"],
          "maxLength": \#(Limits.transactionNoteBytes.value),
          "description": "With the author and as JSON, it has at most as many bytes"}}},
    "Transfer": {"type": "object", "required": ["object", "id", "repeated"],
      "properties": {"object": {"const": "transfer"}, "id": {"type": "string"},
        "repeated": {"type": "boolean"}}},
    "Entry": {"type": "object", "additionalProperties": false,
      "required": ["account", "amount"],
      "properties": {"account": {"type": "string"}, "amount": \#(signedAmount)}},
    "Transaction": {"type": "object",
      "required": ["object", "position", "id", "kind", "time_ms", "entries", "note"],
      "properties": {"object": {"const": "transaction"}, "position": {"type": "integer"},
        "id": {"type": "string"},
        "kind": {"enum": [\#(values(of: LedgerTransaction.Kind.self))]},
        "time_ms": {"type": "integer"},
        "entries": {"type": "array", "items": {"$ref": "#/components/schemas/Entry"}},
        "note": {"type": "string"},
        "author": {"type": "string",
          "description": "Admin who made a transfer; absent in others, and if not known"}}},
    "Balance": {"type": "object", "required": ["object", "account", "balance"],
      "properties": {"object": {"const": "balance"}, "account": {"type": "string"},
        "balance": \#(signedAmount)}},
    "Verification": {"type": "object",
      "required": ["object", "correct", "transactions", "differences"],
      "properties": {"object": {"const": "verification"}, "correct": {"type": "boolean"},
        "transactions": {"type": "integer"},
        "differences": {"type": "array", "items": {"type": "string"}}}},
    """#
}
