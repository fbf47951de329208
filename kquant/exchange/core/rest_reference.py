"""Reference data of the look-alike: calendar, news, products, statements, master files. Source: kis-protocol.md 4.7, 4.8."""

from collections.abc import Callable

from kquant.exchange.core.ports import Market
from kquant.exchange.core.quotations.figures import FigureBook
from kquant.exchange.core.quotations.source import Source
from kquant.exchange.core.reference.calendar import Calendar, News
from kquant.exchange.core.reference.finance import Finance
from kquant.exchange.core.reference.master import MasterName, master_zip
from kquant.exchange.core.reference.products import Products
from kquant.exchange.core.reference.statements import Statements
from kquant.exchange.core.rest import Answer, Request, Route, Routes

__all__ = ["MasterName", "Reference", "master_zip"]


class Reference:
    """Answers reference data, none of which exists on paper; `last` gives the last finished second."""

    def __init__(self, market: Market, last: Callable[[], int]) -> None:
        source = Source(market, last)
        figures = FigureBook(source)
        self._finance = Finance(source, figures, Statements(source, figures))
        self._products = Products(source, figures)
        self._calendar = Calendar(source)
        self._news = News(source)

    def routes(self) -> Routes:
        """Return the paths answered here."""
        finance = self._finance
        handlers: list[tuple[str, str, Callable[[Request], Answer]]] = [
            ("/quotations/chk-holiday", "CTCA0903R", self._calendar.holidays),
            ("/quotations/news-title", "FHKST01011800", self._news.titles),
            ("/quotations/search-stock-info", "CTPF1002R", self._products.stock),
            ("/quotations/search-info", "CTPF1604R", self._products.product),
            ("/finance/balance-sheet", "FHKST66430100", finance.balance_sheet),
            ("/finance/income-statement", "FHKST66430200", finance.income_statement),
            ("/finance/financial-ratio", "FHKST66430300", finance.financial_ratio),
            ("/finance/profit-ratio", "FHKST66430400", finance.profit_ratio),
            ("/finance/other-major-ratios", "FHKST66430500", finance.other_ratios),
            ("/finance/stability-ratio", "FHKST66430600", finance.stability_ratio),
            ("/finance/growth-ratio", "FHKST66430800", finance.growth_ratio),
        ]
        return {path: Route(method="GET", real=(tr_id,), handle=handle) for path, tr_id, handle in handlers}
