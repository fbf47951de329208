"""The account and order tables of kis-protocol 4.5 and 4.6, in the notation of `protocol_tables`.

`tr_id` is the real one; paper's begins with V. Bodies of orders are in `ORDERS`.
"""

from typing import Final

from tests.exchange.protocol_tables import Container, Endpoint

ACCOUNT: Final = {"CANO": "{cano}", "ACNT_PRDT_CD": "{product}"}
KEYS: Final = {"CTX_AREA_FK100": "", "CTX_AREA_NK100": ""}
OLD_IDS: Final = {
    "TTTC0012U": "TTTC0802U",
    "TTTC0011U": "TTTC0801U",
    "TTTC0013U": "TTTC0803U",
    "TTTC0081R": "TTTC8001R",
    "CTSC9215R": "CTSC9115R",
    "TTTC0084R": "TTTC8036R",
}
"""New TR id -> the one it replaced (kis-protocol 0, 4.6)."""
PAGE_ROWS: Final = {"inquire-balance": (50, 20), "inquire-daily-ccld": (100, 15), "inquire-psbl-rvsecncl": (50, 0)}
"""Rows a page, real and paper."""

BALANCE: Final = ACCOUNT | KEYS | {
    "AFHR_FLPR_YN": "N", "OFL_YN": "", "INQR_DVSN": "02", "UNPR_DVSN": "01", "FUND_STTL_ICLD_YN": "N",
    "FNCG_AMT_AUTO_RDPT_YN": "N", "PRCS_DVSN": "00",
}  # fmt: skip
DAILY: Final = ACCOUNT | KEYS | {
    "INQR_STRT_DT": "{day}", "INQR_END_DT": "{day}", "SLL_BUY_DVSN_CD": "00", "PDNO": "", "ORD_GNO_BRNO": "",
    "ODNO": "", "CCLD_DVSN": "00", "INQR_DVSN": "00", "INQR_DVSN_1": "", "INQR_DVSN_3": "00",
}  # fmt: skip

ACCOUNTS: tuple[Endpoint, ...] = (
    Endpoint(
        "4.5", "/trading/inquire-balance", "TTTC8434R", True, BALANCE,
        {
            "output1": Container("array", "pdno prdt_name trad_dvsn_name bfdy_buy_qty# bfdy_sll_qty# thdt_buyqty# "
                "thdt_sll_qty# hldg_qty# ord_psbl_qty# pchs_avg_pric$ pchs_amt# prpr# evlu_amt# evlu_pfls_amt# "
                "evlu_pfls_rt% evlu_erng_rt~ loan_dt~ loan_amt# stln_slng_chgs# expd_dt~ fltt_rt bfdy_cprs_icdc "
                "item_mgna_rt_name~ grta_rt_name~ sbst_pric stck_loan_unpr", 50),
            "output2": Container("array", "dnca_tot_amt# nxdy_excc_amt# prvs_rcdl_excc_amt# cma_evlu_amt# bfdy_buy_amt# "
                "thdt_buy_amt# nxdy_auto_rdpt_amt# bfdy_sll_amt# thdt_sll_amt# d2_auto_rdpt_amt# bfdy_tlex_amt# "
                "thdt_tlex_amt# tot_loan_amt# scts_evlu_amt# tot_evlu_amt# nass_amt# fncg_gld_auto_rdpt_yn~ "
                "pchs_amt_smtl_amt# evlu_amt_smtl_amt# evlu_pfls_smtl_amt# tot_stln_slng_chgs# "
                "bfdy_tot_asst_evlu_amt# asst_icdc_amt# asst_icdc_erng_rt^", 1),
        },
        pages="fk100",
    ),
    Endpoint(
        "4.5", "/trading/inquire-psbl-order", "TTTC8908R", True,
        ACCOUNT | {
            "PDNO": "{code}", "ORD_UNPR": "0", "ORD_DVSN": "01", "CMA_EVLU_AMT_ICLD_YN": "N", "OVRS_ICLD_YN": "N",
        },
        {"output": Container("object", "ord_psbl_cash# ord_psbl_sbst# ruse_psbl_amt# fund_rpch_chgs# "
            "psbl_qty_calc_unpr# nrcvb_buy_amt# nrcvb_buy_qty# max_buy_amt# max_buy_qty# cma_evlu_amt# "
            "ovrs_re_use_amt_wcrc# ord_psbl_frcr_amt_wcrc#")},
    ),
    Endpoint(
        "4.5", "/trading/inquire-psbl-sell", "TTTC8408R", False, ACCOUNT | {"PDNO": "{code}"},
        {"output": Container("object", "pdno buy_qty# sll_qty# cblc_qty# nsvg_qty# ord_psbl_qty# pchs_avg_pric$ "
            "pchs_amt# now_pric# evlu_amt# evlu_pfls_amt# evlu_pfls_rt%")},
    ),
    Endpoint(
        "4.6", "/trading/inquire-psbl-rvsecncl", "TTTC0084R", False,
        ACCOUNT | KEYS | {"INQR_DVSN_1": "0", "INQR_DVSN_2": "0"},
        {"output": Container("array", "ord_gno_brno odno# orgn_odno~ ord_dvsn_name pdno prdt_name rvse_cncl_dvsn_name~ "
            "ord_qty# ord_unpr# ord_tmd! tot_ccld_qty# tot_ccld_amt# psbl_qty# sll_buy_dvsn_cd ord_dvsn_cd "
            "mgco_aptm_odno~ excg_dvsn_cd excg_id_dvsn_cd excg_id_dvsn_name stpm_cndt_pric~ stpm_efct_occr_yn~", 50)},
        pages="fk100",
    ),
    Endpoint(
        "4.6", "/trading/inquire-daily-ccld", "TTTC0081R", True, DAILY,
        {
            "output1": Container("array", "ord_dt@ ord_gno_brno odno# orgn_odno~ ord_dvsn_name sll_buy_dvsn_cd "
                "sll_buy_dvsn_cd_name pdno prdt_name ord_qty# ord_unpr# ord_tmd! tot_ccld_qty# avg_prvs cncl_yn?~ "
                "tot_ccld_amt# loan_dt~ ordr_empno~ ord_dvsn_cd cnc_cfrm_qty# rmn_qty# rjct_qty# ccld_cndt_name~ "
                "inqr_ip_addr~ cpbc_ordp_ord_rcit_dvsn_cd~ cpbc_ordp_infm_mthd_dvsn_cd~ infm_tmd~ ctac_tlno~ "
                "prdt_type_cd~ excg_dvsn_cd~ cpbc_ordp_mtrl_dvsn_cd~ ord_orgno~ rsvn_ord_end_dt~ excg_id_dvsn_Cd~ "
                "stpm_cndt_pric~ stpm_efct_occr_dtmd~", 100),
            "output2": Container("object", "tot_ord_qty# tot_ccld_qty# tot_ccld_amt# prsm_tlex_smtl# pchs_avg_pric$"),
        },
        optional=("EXCG_ID_DVSN_CD",),
        pages="fk100",
    ),
)  # fmt: skip

SENT: Final = {"output": Container("object", "KRX_FWDG_ORD_ORGNO# ODNO# ORD_TMD!")}
ORDERS: tuple[Endpoint, ...] = (
    Endpoint(
        "4.6", "/trading/order-cash", "TTTC0012U", True,
        ACCOUNT | {"PDNO": "{code}", "ORD_DVSN": "00", "ORD_QTY": "1", "ORD_UNPR": "{price}"}, SENT,
        optional=("EXCG_ID_DVSN_CD", "SLL_TYPE", "CNDT_PRIC"),
    ),
    Endpoint(
        "4.6", "/trading/order-rvsecncl", "TTTC0013U", True,
        ACCOUNT | {
            "KRX_FWDG_ORD_ORGNO": "", "ORGN_ODNO": "{odno}", "ORD_DVSN": "00", "RVSE_CNCL_DVSN_CD": "02",
            "ORD_QTY": "0", "ORD_UNPR": "0", "QTY_ALL_ORD_YN": "Y",
        },
        SENT,
        optional=("EXCG_ID_DVSN_CD", "CNDT_PRIC"),
    ),
)  # fmt: skip
"""Bodies of POST calls: every key in upper case, every value text."""
