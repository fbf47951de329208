"""The data client: every quotation and reference call, on a client that can do nothing else."""

from __future__ import annotations

from kquant.gateways.kis.rest.calls.charts import ChartCalls
from kquant.gateways.kis.rest.calls.quotes import QuoteCalls
from kquant.gateways.kis.rest.calls.rankings import RankingCalls
from kquant.gateways.kis.rest.calls.reference import ReferenceCalls
from kquant.gateways.kis.rest.client import ReadOnlyClient


class DataCalls(RankingCalls, QuoteCalls, ChartCalls, ReferenceCalls):
    """Quotations and reference data. hts_id: whose condition searches and watch lists are read, "" without one.

    On the paper service a call for what it lacks raises NotOnPaper, which says what to set; the others work.
    """

    def __init__(self, client: ReadOnlyClient, hts_id: str = "") -> None:
        RankingCalls.__init__(self, client, hts_id)
