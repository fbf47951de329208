"""What KIS is asked, in typed calls: quotations by `DataCalls`, an account by `TradingCalls`, both behind `KisCalls`."""

from kquant.gateways.kis.rest.calls.data import DataCalls
from kquant.gateways.kis.rest.calls.facade import KisCalls
from kquant.gateways.kis.rest.calls.trading import TradingCalls

__all__ = ["DataCalls", "KisCalls", "TradingCalls"]
