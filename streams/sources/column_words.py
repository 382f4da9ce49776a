"""Names people give to columns, and words they use in them: what a drafted mapping goes by."""

from __future__ import annotations

# Event field → names people give such a column, best first. Compared without case and signs.
NAMES: dict[str, tuple[str, ...]] = {
    "event_id": ("transactionid", "txid", "txnid", "transid", "eventid", "id", "transactionnumber", "transactionno",
                 "txno", "trxno", "trxid", "reference"),
    "customer_id": ("customerid", "clientid", "customer", "client", "userid", "user", "accountid", "account", "who",
                    "nameorig", "holder", "memberid", "accountnumber", "iban", "ccnum", "cardnumber", "cardid", "card"),
    "event_time_ms": ("eventtime", "txdatetime", "transactiondatetime", "transdatetranstime", "datetime", "timestamp",
                      "transactiondate", "transactiontime", "time", "date", "createdat", "bookingdate", "when", "step",
                      "hour", "ts"),
    "amount_minor": ("amount", "txamount", "transactionamount", "amt", "amtcents", "amountcents",
                     "amountminor", "transactionamt", "value", "sum", "price",
                     "total", "betrag"),
    "currency": ("currency", "ccy", "currencycode", "waehrung"),
    "direction": ("direction", "drcr", "debitcredit", "side"),
    "channel": ("channel", "entrymode", "usechip", "method"),
    "type": ("type", "transactiontype", "txtype", "operation"),
    "merchant_id": ("merchantid", "merchant", "merchantname", "shop", "store", "seller"),
    "terminal_id": ("terminalid", "terminal", "posid", "atmid"),
    "mcc": ("mcc", "merchantcategorycode"),
    "country": ("country", "countrycode", "merchantcountry"),
    "card_id": ("cardid", "card", "ccnum", "cardnumber", "pan"),
    "device_id": ("deviceid", "device", "deviceinfo", "fingerprint"),
    "payee_id": ("payeeid", "payee", "namedest", "beneficiary", "counterparty", "recipient", "destaccount"),
}  # fmt: skip
LABELS = ("isfraud", "fraud", "txfraud", "fraudflag", "fraudlabel", "isfraudulent", "chargeback", "label", "class",
           "target")  # fmt: skip
TYPOLOGIES = ("typology", "fraudtype", "fraudscenario", "txfraudscenario", "scenario")
# Would tell the model the answer, or are never inputs.
LEFT_OUT = ("isflaggedfraud", "gender", "sex", "race", "religion", "marriage", "maritalstatus", "ethnicity")
POSITIVE = ("1", "true", "yes", "y", "t", "fraud", "fraudulent")
WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "channel": {"pos": ("pos", "payment", "swipe", "chip", "contactless", "instore"), "atm": ("atm", "cashout"),
                "ecom": ("ecom", "web", "internet", "online", "cnp", "remote"), "mobile": ("mobile", "app", "phone"),
                "branch": ("branch", "teller", "cashin")},
    "type": {"purchase": ("payment", "purchase", "debit"), "cash": ("cashout", "withdrawal", "cash"),
             "transfer": ("transfer", "wire"), "deposit": ("cashin", "deposit"), "fee": ("fee",),
             "refund": ("refund", "reversal")},
    "direction": {"debit": ("debit", "d", "dr", "out", "outgoing", "payment", "cashout", "transfer"),
                  "credit": ("credit", "c", "cr", "in", "incoming", "cashin", "deposit", "refund")},
}  # fmt: skip
