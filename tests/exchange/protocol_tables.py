"""The REST tables of kis-protocol 4, transcribed from the document: what every endpoint takes and answers.

Nothing here is taken from the look-alike or from a client. A field is written as its name and what its text must be:

    name#   whole number          name@   date YYYYMMDD        name?   Y or N
    name%   two decimals          name!   time HHMMSS          name+   sign 1 upper limit, 2 up, 3 flat, 4 lower, 5 down
    name$   four decimals         name^   eight decimals       name    any text
    ...~    may be blank as well

Parameters hold sample values; `{code}`, `{day}`, `{before}`, `{user}`, `{cano}`, `{product}`, `{odno}` are filled in by
the test. Fields marked [samples] in a comment are those of KIS's own samples where the document names only a few.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

FORMS = {
    "#": r"-?\d+",
    "%": r"-?\d+\.\d{2}",
    "@": r"(19|20)\d{6}",
    "!": r"[012]\d[0-5]\d[0-5]\d",
    "?": r"[YN]",
    "+": r"[1-5]",
    "$": r"-?\d+\.\d{4}",
    "^": r"-?\d+\.\d{8}",
}


class Container(NamedTuple):
    """One output: an object or an array of rows, its fields in the notation above, and the most rows a call gives."""

    kind: str
    fields: str
    cap: int = 0


class Endpoint(NamedTuple):
    """One row of the document: `section` is where; `needs` the hour of the day (HHMM) at which it has rows."""

    section: str
    path: str
    tr_id: str
    paper: bool
    params: Mapping[str, str]
    outputs: Mapping[str, Container]
    optional: tuple[str, ...] = ()
    needs: str = "1000"
    pages: str = ""
    """The width of its paging keys, as `fk100`; blank when it has none."""

    @property
    def name(self) -> str:
        """Return the path's last part."""
        return self.path.rsplit("/", 1)[1]


def pattern_of(field: str) -> tuple[str, re.Pattern[str]]:
    """Return a field's name and the pattern its text must match whole."""
    blank = field.endswith("~")
    body = field.rstrip("~")
    form = FORMS.get(body[-1])
    pattern = ".*" if form is None else form
    return body.rstrip("#%@!?+$^"), re.compile(f"(?:{pattern})?" if blank else f"(?:{pattern})", re.DOTALL)


STOCK = {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": "{code}"}
VOLUME_RANK = {
    "FID_COND_MRKT_DIV_CODE": "J",
    "FID_COND_SCR_DIV_CODE": "20171",
    "FID_INPUT_ISCD": "0000",
    "FID_DIV_CLS_CODE": "0",
    "FID_BLNG_CLS_CODE": "0",
    "FID_TRGT_CLS_CODE": "111111111",
    "FID_TRGT_EXLS_CLS_CODE": "0000000000",
    "FID_INPUT_PRICE_1": "",
    "FID_INPUT_PRICE_2": "",
    "FID_VOL_CNT": "",
    "FID_INPUT_DATE_1": "",
}
FLUCTUATION = {
    "FID_COND_MRKT_DIV_CODE": "J",
    "FID_COND_SCR_DIV_CODE": "20170",
    "FID_INPUT_ISCD": "0000",
    "FID_RANK_SORT_CLS_CODE": "0",
    "FID_INPUT_CNT_1": "0",
    "FID_PRC_CLS_CODE": "0",
    "FID_INPUT_PRICE_1": "",
    "FID_INPUT_PRICE_2": "",
    "FID_VOL_CNT": "",
    "FID_TRGT_CLS_CODE": "0",
    "FID_TRGT_EXLS_CLS_CODE": "0",
    "FID_DIV_CLS_CODE": "0",
    "FID_RSFL_RATE1": "",
    "FID_RSFL_RATE2": "",
}
RANKING = {
    "FID_COND_MRKT_DIV_CODE": "J",
    "FID_INPUT_ISCD": "0000",
    "FID_DIV_CLS_CODE": "0",
    "FID_TRGT_CLS_CODE": "0",
    "FID_TRGT_EXLS_CLS_CODE": "0",
}
PRICES = {"FID_INPUT_PRICE_1": "", "FID_INPUT_PRICE_2": "", "FID_VOL_CNT": ""}
RANKED = "data_rank# hts_kor_isnm stck_prpr# prdy_vrss# prdy_vrss_sign+ prdy_ctrt% acml_vol#"
NINE_TO_TEN = range(1, 11)


def numbered(text: str) -> str:
    """Return the fields once for each of the ten levels: `askp*#` is askp1# to askp10#."""
    return " ".join(field.replace("*", str(number)) for field in text.split() for number in NINE_TO_TEN)


SCREENING = (
    Endpoint(
        "4.2", "/quotations/volume-rank", "FHPST01710000", False, VOLUME_RANK,
        {"output": Container("array", "hts_kor_isnm mksc_shrn_iscd data_rank# stck_prpr# prdy_vrss_sign+ prdy_vrss# "
            "prdy_ctrt% acml_vol# prdy_vol# lstn_stcn# avrg_vol# n_befr_clpr_vrss_prpr_rate% vol_inrt% vol_tnrt% "
            "nday_vol_tnrt% avrg_tr_pbmn# tr_pbmn_tnrt% nday_tr_pbmn_tnrt% acml_tr_pbmn#", 30)},
    ),
    Endpoint(
        "4.2", "/ranking/fluctuation", "FHPST01700000", False, FLUCTUATION,
        {"output": Container("array", "stck_shrn_iscd data_rank# hts_kor_isnm stck_prpr# prdy_vrss# prdy_vrss_sign+ "
            "prdy_ctrt% acml_vol# stck_hgpr# hgpr_hour! acml_hgpr_date@ stck_lwpr# lwpr_hour! acml_lwpr_date@ "
            "lwpr_vrss_prpr_rate% dsgt_date_clpr_vrss_prpr_rate% cnnt_ascn_dynu# hgpr_vrss_prpr_rate% cnnt_down_dynu# "
            "oprc_vrss_prpr_sign+ oprc_vrss_prpr# oprc_vrss_prpr_rate% prd_rsfl# prd_rsfl_rate%", 30)},
    ),
    Endpoint(
        "4.2", "/ranking/volume-power", "FHPST01680000", False,
        RANKING | PRICES | {"FID_COND_SCR_DIV_CODE": "20168"},
        {"output": Container("array", f"stck_shrn_iscd {RANKED} tday_rltv% seln_cnqn_smtn# shnu_cnqn_smtn#", 30)},
    ),
    Endpoint(  # fields [samples]
        "4.2", "/ranking/market-cap", "FHPST01740000", False,
        RANKING | PRICES | {"FID_COND_SCR_DIV_CODE": "20174"},
        {"output": Container("array", f"mksc_shrn_iscd {RANKED} lstn_stcn# stck_avls# mrkt_whol_avls_rlim%", 30)},
    ),
    Endpoint(  # fields [samples]
        "4.2", "/ranking/disparity", "FHPST01780000", False,
        RANKING | PRICES
        | {"FID_COND_SCR_DIV_CODE": "20178", "FID_RANK_SORT_CLS_CODE": "0", "FID_HOUR_CLS_CODE": "20"},
        {"output": Container("array", f"mksc_shrn_iscd {RANKED} d5_dsrt% d10_dsrt% d20_dsrt% d60_dsrt% d120_dsrt%", 30)},
    ),
    Endpoint(  # fields [samples]
        "4.2", "/ranking/near-new-highlow", "FHPST01870000", False,
        RANKING | {
            "FID_COND_SCR_DIV_CODE": "20187", "FID_APLY_RANG_VOL": "0", "FID_INPUT_CNT_1": "0",
            "FID_INPUT_CNT_2": "100", "FID_PRC_CLS_CODE": "0", "FID_APLY_RANG_PRC_1": "0",
            "FID_APLY_RANG_PRC_2": "1000000",
        },
        {"output": Container("array", "hts_kor_isnm mksc_shrn_iscd stck_prpr# prdy_vrss_sign+ prdy_vrss# prdy_ctrt% "
            "askp# askp_rsqn1# bidp# bidp_rsqn1# acml_vol# new_hgpr# hprc_near_rate% new_lwpr# lwpr_near_rate% "
            "stck_sdpr#", 30)},
    ),
    Endpoint(  # fields [samples]; prices are expected only in a call auction
        "4.2", "/ranking/exp-trans-updown", "FHPST01820000", False,
        {
            "FID_COND_MRKT_DIV_CODE": "J", "FID_COND_SCR_DIV_CODE": "20182", "FID_INPUT_ISCD": "0000",
            "FID_DIV_CLS_CODE": "0", "FID_RANK_SORT_CLS_CODE": "0", "FID_APLY_RANG_PRC_1": "", "FID_VOL_CNT": "",
            "FID_PBMN": "", "FID_BLNG_CLS_CODE": "0", "FID_MKOP_CLS_CODE": "0",
        },
        {"output": Container("array", "stck_shrn_iscd hts_kor_isnm stck_prpr# prdy_vrss# prdy_vrss_sign+ prdy_ctrt% "
            "stck_sdpr# seln_rsqn# askp# bidp# shnu_rsqn# cntg_vol# antc_tr_pbmn# total_askp_rsqn# total_bidp_rsqn#",
            30)},
        needs="0855",
    ),
    Endpoint(  # fields [samples]
        "4.2", "/quotations/foreign-institution-total", "FHPTJ04400000", False,
        {
            "FID_COND_MRKT_DIV_CODE": "V", "FID_COND_SCR_DIV_CODE": "16449", "FID_INPUT_ISCD": "0000",
            "FID_DIV_CLS_CODE": "0", "FID_RANK_SORT_CLS_CODE": "0", "FID_ETC_CLS_CODE": "0",
        },
        {"output": Container("array", "hts_kor_isnm mksc_shrn_iscd ntby_qty# stck_prpr# prdy_vrss_sign+ prdy_vrss# "
            "prdy_ctrt% acml_vol# frgn_ntby_qty# orgn_ntby_qty# ivtr_ntby_qty# bank_ntby_qty# insu_ntby_qty# "
            "mrbn_ntby_qty# fund_ntby_qty# etc_orgt_ntby_vol# etc_corp_ntby_vol# frgn_ntby_tr_pbmn# orgn_ntby_tr_pbmn# "
            "ivtr_ntby_tr_pbmn# bank_ntby_tr_pbmn# insu_ntby_tr_pbmn# mrbn_ntby_tr_pbmn# fund_ntby_tr_pbmn# "
            "etc_orgt_ntby_tr_pbmn# etc_corp_ntby_tr_pbmn#", 30)},
    ),
    Endpoint(
        "4.2", "/quotations/psearch-title", "HHKST03900300", False, {"USER_ID": "{user}"},
        {"output2": Container("array", "user_id seq# grp_nm condition_nm")},
    ),
    Endpoint(
        "4.2", "/quotations/psearch-result", "HHKST03900400", False, {"USER_ID": "{user}", "SEQ": "2"},
        {"output2": Container("array", "code name daebi+ price# chgrate% acml_vol# trade_amt# change# cttr% open# high# "
            "low# high52# low52# expprice# expchange# expchggrate% expcvol# chgrate2% expdaebi+ recprice# uplmtprice# "
            "dnlmtprice# stotprice#", 100)},
    ),
    Endpoint(  # path, parameters and fields [samples]
        "4.2", "/quotations/intstock-grouplist", "HHKCM113004C7", False,
        {"TYPE": "1", "FID_ETC_CLS_CODE": "00", "USER_ID": "{user}"},
        {"output2": Container("array", "date@ trnm_hour! data_rank# inter_grp_code# inter_grp_name ask_cnt#")},
    ),
    Endpoint(  # path, parameters and fields [samples]
        "4.2", "/quotations/intstock-stocklist-by-group", "HHKCM113004C6", False,
        {
            "TYPE": "1", "USER_ID": "{user}", "INTER_GRP_CODE": "001", "FID_ETC_CLS_CODE": "4", "DATA_RANK": "",
            "INTER_GRP_NAME": "", "HTS_KOR_ISNM": "", "CNTG_CLS_CODE": "",
        },
        {
            "output1": Container("object", "data_rank# inter_grp_name"),
            "output2": Container("array", "fid_mrkt_cls_code data_rank# exch_code jong_code color_code~ memo~ "
                "hts_kor_isnm fxdt_ntby_qty# cntg_unpr# cntg_cls_code"),
        },
    ),
)  # fmt: skip

QUOTES = (
    Endpoint(
        "4.3", "/quotations/inquire-price", "FHKST01010100", True, STOCK,
        {"output": Container("object",
            "stck_prpr# prdy_vrss# prdy_vrss_sign+ prdy_ctrt% stck_oprc# stck_hgpr# stck_lwpr# stck_mxpr# stck_llam# "
            "stck_sdpr# aspr_unit# acml_vol# acml_tr_pbmn# prdy_vrss_vol_rate% wghn_avrg_stck_prc% vol_tnrt% "
            "iscd_stat_cls_code# mrkt_warn_cls_code# temp_stop_yn? sltr_yn? mang_issu_cls_code? invt_caful_yn? "
            "short_over_yn? vi_cls_code? ovtm_vi_cls_code? oprc_rang_cont_yn? clpr_rang_cont_yn? marg_rate% "
            "crdt_able_yn? ssts_yn? rprs_mrkt_kor_name bstp_kor_isnm hts_frgn_ehrt% frgn_hldn_qty# frgn_ntby_qty# "
            "pgtr_ntby_qty# lstn_stcn# hts_avls# cpfn# stck_fcam# stck_sspr# per% pbr% eps% bps% stac_month# "
            "w52_hgpr# w52_hgpr_date@ w52_hgpr_vrss_prpr_ctrt% w52_lwpr# w52_lwpr_date@ w52_lwpr_vrss_prpr_ctrt% "
            "d250_hgpr# d250_hgpr_date@ d250_hgpr_vrss_prpr_rate% d250_lwpr# d250_lwpr_date@ "
            "d250_lwpr_vrss_prpr_rate% stck_dryy_hgpr# dryy_hgpr_vrss_prpr_rate% dryy_hgpr_date@ stck_dryy_lwpr# "
            "dryy_lwpr_vrss_prpr_rate% dryy_lwpr_date@ pvt_pont_val# pvt_frst_dmrs_prc# pvt_scnd_dmrs_prc# "
            "pvt_frst_dmsp_prc# pvt_scnd_dmsp_prc# dmrs_val# dmsp_val# whol_loan_rmnd_rate% last_ssts_cntg_qty# "
            "new_hgpr_lwpr_cls_code~ apprch_rate~ rstc_wdth_prc# hts_deal_qty_unit_val# elw_pblc_yn? "
            "grmn_rate_cls_code fcam_cnnm cpfn_cnnm stck_shrn_iscd")},
    ),
    Endpoint(
        "4.3", "/quotations/inquire-price-2", "FHPST01010000", False, STOCK,
        {"output": Container("object", "trht_yn? mang_issu_yn? short_over_cls_code low_current_yn? insn_pbnt_yn? "
            "stange_runup_yn? ssts_hot_yn? stck_prdy_clpr# prdy_vol# stck_prpr# stck_mxpr# stck_llam# stck_sdpr#")},
    ),
    Endpoint(
        "4.3", "/quotations/intstock-multprice", "FHKST11300006", False,
        {"FID_COND_MRKT_DIV_CODE_1": "J", "FID_INPUT_ISCD_1": "{code}"},
        {"output": Container("array", "inter_shrn_iscd inter_kor_isnm inter2_prpr# inter2_prdy_vrss# prdy_ctrt% "
            "acml_vol# inter2_oprc# inter2_hgpr# inter2_lwpr# inter2_mxpr# inter2_llam# inter2_askp# inter2_bidp# "
            "seln_rsqn# shnu_rsqn# acml_tr_pbmn# inter2_prdy_clpr# inter2_sdpr#", 30)},
    ),
    Endpoint(
        "4.3", "/quotations/inquire-asking-price-exp-ccn", "FHKST01010200", True, STOCK,
        {
            "output1": Container("object", "aspr_acpt_hour! total_askp_rsqn# total_bidp_rsqn# total_askp_rsqn_icdc# "
                "total_bidp_rsqn_icdc# ovtm_total_askp_rsqn# ovtm_total_bidp_rsqn# ntby_aspr_rsqn# "
                "new_mkop_cls_code antc_mkop_cls_code~ "
                + numbered("askp*# bidp*# askp_rsqn*# bidp_rsqn*# askp_rsqn_icdc*# bidp_rsqn_icdc*#")),
            "output2": Container("object", "stck_prpr# stck_oprc# stck_hgpr# stck_lwpr# stck_sdpr# antc_cnpr# "
                "antc_cntg_vrss_sign+ antc_cntg_vrss# antc_cntg_prdy_ctrt% antc_vol# stck_shrn_iscd vi_cls_code?"),
        },
    ),
    Endpoint(
        "4.3", "/quotations/inquire-ccnl", "FHKST01010300", True, STOCK,
        {"output": Container("array", "stck_cntg_hour! stck_prpr# prdy_vrss# prdy_vrss_sign+ cntg_vol# tday_rltv% "
            "prdy_ctrt%", 30)},
    ),
    Endpoint(
        "4.3", "/quotations/inquire-investor", "FHKST01010900", True, STOCK,
        {"output": Container("array", "stck_bsop_date@ stck_clpr# prdy_vrss# prdy_vrss_sign+ " + " ".join(
            f"{who}_{what}#~" for who in ("prsn", "frgn", "orgn") for what in (
                "ntby_qty", "ntby_tr_pbmn", "shnu_vol", "shnu_tr_pbmn", "seln_vol", "seln_tr_pbmn")), 30)},
    ),
    Endpoint(  # fields [samples], a part of them
        "4.3", "/quotations/investor-trade-by-stock-daily", "FHPTJ04160001", False,
        STOCK | {"FID_INPUT_DATE_1": "{before}", "FID_ORG_ADJ_PRC": "", "FID_ETC_CLS_CODE": ""},
        {
            "output1": Container("object", "stck_prpr# prdy_vrss# prdy_vrss_sign+ prdy_ctrt% acml_vol# prdy_vol# "
                "rprs_mrkt_kor_name"),
            "output2": Container("array", "stck_bsop_date@ stck_clpr# prdy_vrss# prdy_vrss_sign+ prdy_ctrt% acml_vol# "
                "acml_tr_pbmn# stck_oprc# stck_hgpr# stck_lwpr# frgn_ntby_qty#~ frgn_reg_ntby_qty#~ "
                "frgn_nreg_ntby_qty#~ prsn_ntby_qty#~ orgn_ntby_qty#~ scrt_ntby_qty#~ ivtr_ntby_qty#~ "
                "pe_fund_ntby_vol#~ bank_ntby_qty#~ insu_ntby_qty#~ mrbn_ntby_qty#~ fund_ntby_qty#~ etc_ntby_qty#~ "
                "etc_corp_ntby_vol#~ etc_orgt_ntby_vol#~ frgn_reg_ntby_pbmn#~ frgn_ntby_tr_pbmn#~ "
                "frgn_nreg_ntby_pbmn#~ prsn_ntby_tr_pbmn#~ orgn_ntby_tr_pbmn#~ frgn_seln_vol#~ frgn_shnu_vol#~ "
                "frgn_reg_askp_qty#~ frgn_reg_bidp_pbmn#~ pe_fund_seln_vol#~ pe_fund_shnu_tr_pbmn#~ fund_seln_vol#~ "
                "etc_orgt_shnu_tr_pbmn#~ etc_corp_seln_vol#~ bold_yn", 30),
        },
    ),
    Endpoint(  # fields [samples], a part of them
        "4.1", "/quotations/inquire-member", "FHKST01010600", True, STOCK,
        {"output": Container("object", "seln_mbcr_no1 seln_mbcr_name5 total_seln_qty1# seln_mbcr_rlim1% seln_qty_icdc1# "
            "shnu_mbcr_no1 shnu_mbcr_name5 total_shnu_qty5# shnu_mbcr_rlim5% shnu_qty_icdc5# glob_total_seln_qty# "
            "glob_seln_rlim% glob_ntby_qty# glob_total_shnu_qty# glob_shnu_rlim% seln_mbcr_glob_yn_1? "
            "shnu_mbcr_glob_yn_5? glob_total_seln_qty_icdc# glob_total_shnu_qty_icdc# acml_vol#")},
    ),
    Endpoint(  # fields [samples]
        "4.1", "/quotations/inquire-time-itemconclusion", "FHPST01060000", True,
        STOCK | {"FID_INPUT_HOUR_1": "095959"},
        {
            "output1": Container("object", "stck_prpr# prdy_vrss# prdy_vrss_sign+ prdy_ctrt% acml_vol# prdy_vol# "
                "rprs_mrkt_kor_name"),
            "output2": Container("array", "stck_cntg_hour! stck_pbpr# prdy_vrss# prdy_vrss_sign+ prdy_ctrt% askp# bidp# "
                "tday_rltv% acml_vol# cnqn#", 30),
        },
    ),
    Endpoint(  # fields [samples], a part of them
        "4.1", "/quotations/inquire-daily-overtimeprice", "FHPST02320000", True, STOCK,
        {
            "output1": Container("object", "ovtm_untp_prpr# ovtm_untp_prdy_vrss# ovtm_untp_prdy_vrss_sign+ "
                "ovtm_untp_prdy_ctrt% ovtm_untp_vol# ovtm_untp_tr_pbmn# ovtm_untp_mxpr# ovtm_untp_antc_vol#"),
            "output2": Container("array", "stck_bsop_date@ ovtm_untp_prpr# ovtm_untp_prdy_vrss# "
                "ovtm_untp_prdy_vrss_sign+ ovtm_untp_prdy_ctrt% ovtm_untp_vol# stck_clpr# prdy_vrss# prdy_vrss_sign+ "
                "prdy_ctrt% acml_vol# ovtm_untp_tr_pbmn#", 30),
        },
    ),
    Endpoint(
        "4.3", "/quotations/inquire-vi-status", "FHPST01390000", False,
        {
            "FID_DIV_CLS_CODE": "0", "FID_COND_SCR_DIV_CODE": "20139", "FID_MRKT_CLS_CODE": "0", "FID_INPUT_ISCD": "",
            "FID_RANK_SORT_CLS_CODE": "0", "FID_INPUT_DATE_1": "{day}", "FID_TRGT_CLS_CODE": "",
            "FID_TRGT_EXLS_CLS_CODE": "",
        },
        {"output": Container("array", "hts_kor_isnm mksc_shrn_iscd vi_cls_code? bsop_date@ cntg_vi_hour! vi_cncl_hour! "
            "vi_kind_code# vi_prc# vi_stnd_prc# vi_dprt% vi_dmc_stnd_prc# vi_dmc_dprt% vi_count#")},
    ),
)  # fmt: skip

SUMMARY = "prdy_vrss# prdy_vrss_sign+ prdy_ctrt% stck_prdy_clpr# acml_vol# acml_tr_pbmn# hts_kor_isnm stck_prpr#"
MINUTE = "stck_bsop_date@ stck_cntg_hour! stck_prpr# stck_oprc# stck_hgpr# stck_lwpr# cntg_vol# acml_tr_pbmn#"
CHARTS = (
    Endpoint(
        "4.4", "/quotations/inquire-time-itemchartprice", "FHKST03010200", True,
        STOCK | {"FID_INPUT_HOUR_1": "095900", "FID_PW_DATA_INCU_YN": "Y", "FID_ETC_CLS_CODE": ""},
        {"output1": Container("object", SUMMARY), "output2": Container("array", MINUTE, 30)},
    ),
    Endpoint(
        "4.4", "/quotations/inquire-time-dailychartprice", "FHKST03010230", True,
        STOCK | {
            "FID_INPUT_HOUR_1": "153000", "FID_INPUT_DATE_1": "{before}", "FID_PW_DATA_INCU_YN": "Y",
            "FID_FAKE_TICK_INCU_YN": "",
        },
        {"output1": Container("object", SUMMARY), "output2": Container("array", MINUTE, 120)},
    ),
    Endpoint(
        "4.4", "/quotations/inquire-daily-itemchartprice", "FHKST03010100", True,
        STOCK | {
            "FID_INPUT_DATE_1": "20250101", "FID_INPUT_DATE_2": "{day}", "FID_PERIOD_DIV_CODE": "D",
            "FID_ORG_ADJ_PRC": "0",
        },
        {
            "output1": Container("object", SUMMARY + " stck_mxpr# stck_llam# prdy_vol# lstn_stcn# hts_avls# per% eps% "
                "pbr% askp# bidp# stck_prdy_oprc# stck_prdy_hgpr# stck_prdy_lwpr#"),
            "output2": Container("array", "stck_bsop_date@ stck_clpr# stck_oprc# stck_hgpr# stck_lwpr# acml_vol# "
                "acml_tr_pbmn# flng_cls_code# prtt_rate% mod_yn? prdy_vrss_sign+ prdy_vrss# revl_issu_reas~", 100),
        },
    ),
    Endpoint(  # fields [samples]
        "4.4", "/quotations/inquire-daily-price", "FHKST01010400", True,
        STOCK | {"FID_PERIOD_DIV_CODE": "D", "FID_ORG_ADJ_PRC": "1"},
        {"output": Container("array", "stck_bsop_date@ stck_oprc# stck_hgpr# stck_lwpr# stck_clpr# acml_vol# "
            "prdy_vrss_vol_rate% prdy_vrss# prdy_vrss_sign+ prdy_ctrt% hts_frgn_ehrt% frgn_ntby_qty# flng_cls_code# "
            "acml_prtt_rate%", 30)},
    ),
    Endpoint(  # fields [samples]
        "4.4", "/quotations/inquire-daily-indexchartprice", "FHKUP03500100", True,
        {
            "FID_COND_MRKT_DIV_CODE": "U", "FID_INPUT_ISCD": "0001", "FID_INPUT_DATE_1": "20250101",
            "FID_INPUT_DATE_2": "{day}", "FID_PERIOD_DIV_CODE": "D",
        },
        {
            "output1": Container("object", "bstp_nmix_prdy_vrss% prdy_vrss_sign+ bstp_nmix_prdy_ctrt% prdy_nmix% acml_vol# "
                "acml_tr_pbmn# hts_kor_isnm bstp_nmix_prpr% bstp_cls_code prdy_vol# bstp_nmix_oprc% bstp_nmix_hgpr% "
                "bstp_nmix_lwpr% futs_prdy_oprc% futs_prdy_hgpr% futs_prdy_lwpr%"),
            "output2": Container("array", "stck_bsop_date@ bstp_nmix_prpr% bstp_nmix_oprc% bstp_nmix_hgpr% "
                "bstp_nmix_lwpr% acml_vol# acml_tr_pbmn# mod_yn?", 50),
        },
    ),
    Endpoint(
        "4.4", "/quotations/inquire-index-price", "FHPUP02100000", False,
        {"FID_COND_MRKT_DIV_CODE": "U", "FID_INPUT_ISCD": "1001"},
        {"output": Container("object", "bstp_nmix_prpr% bstp_nmix_prdy_vrss% prdy_vrss_sign+ bstp_nmix_prdy_ctrt% "
            "acml_vol# acml_tr_pbmn# ascn_issu_cnt# down_issu_cnt# stnr_issu_cnt# uplm_issu_cnt# lslm_issu_cnt#")},
    ),
)  # fmt: skip

FINANCE = {"FID_DIV_CLS_CODE": "0"} | STOCK
REFERENCE = (
    Endpoint(
        "4.7", "/quotations/chk-holiday", "CTCA0903R", False,
        {"BASS_DT": "{day}", "CTX_AREA_FK": "", "CTX_AREA_NK": ""},
        {"output": Container("array", "bass_dt@ wday_dvsn_cd# bzdy_yn? tr_day_yn? opnd_yn? sttl_day_yn?")},
        pages="fk",
    ),
    Endpoint(
        "4.7", "/quotations/news-title", "FHKST01011800", False,
        dict.fromkeys([
            "FID_NEWS_OFER_ENTP_CODE", "FID_COND_MRKT_CLS_CODE", "FID_INPUT_ISCD", "FID_TITL_CNTT",
            "FID_INPUT_DATE_1", "FID_INPUT_HOUR_1", "FID_RANK_SORT_CLS_CODE", "FID_INPUT_SRNO",
        ], ""),
        {"output": Container("array", "cntt_usiq_srno# news_ofer_entp_code data_dt@ data_tm! hts_pbnt_titl_cntt "
            "news_lrdv_code~ dorg iscd1~ iscd2~ iscd3~ iscd4~ iscd5~")},
    ),
    Endpoint(
        "4.7", "/quotations/search-stock-info", "CTPF1002R", False, {"PRDT_TYPE_CD": "300", "PDNO": "{code}"},
        {"output": Container("object", "prdt_abrv_name mket_id_cd scty_grp_id_cd lstg_stqt# kospi200_item_yn? "
            "tr_stop_yn? admn_item_yn? thdt_clpr# bfdy_clpr# cptt_trad_tr_psbl_yn? nxt_tr_stop_yn?")},
    ),
    Endpoint(  # fields [samples], and those python-kis reads
        "7.6", "/quotations/search-info", "CTPF1604R", False, {"PDNO": "{code}", "PRDT_TYPE_CD": "300"},
        {"output": Container("object", "pdno prdt_type_cd# std_pdno shtn_pdno prdt_name120 prdt_abrv_name "
            "prdt_eng_name120~ prdt_eng_abrv_name~ prdt_sale_stat_cd~ prdt_risk_grad_cd~ prdt_clsf_cd sale_strt_dt~ "
            "sale_end_dt~ wrap_asst_type_cd ivst_prdt_type_cd frst_erlm_dt@~")},
    ),
    *(
        Endpoint("4.7", f"/finance/{path}", tr_id, False, FINANCE,
            {"output": Container("array", "stac_yymm# " + " ".join(f"{name}%" for name in fields.split()))})
        for path, tr_id, fields in (
            ("balance-sheet", "FHKST66430100",
             "cras fxas total_aset flow_lblt fix_lblt total_lblt cpfn cfp_surp prfi_surp total_cptl"),
            ("financial-ratio", "FHKST66430300",
             "grs bsop_prfi_inrt ntin_inrt roe_val eps sps bps rsrv_rate lblt_rate"),
            ("profit-ratio", "FHKST66430400", "cptl_ntin_rate self_cptl_ntin_inrt sale_ntin_rate sale_totl_rate"),
            ("other-major-ratios", "FHKST66430500", "payout_rate eva ebitda ev_ebitda"),
            ("stability-ratio", "FHKST66430600", "lblt_rate bram_depn crnt_rate quck_rate"),
            ("growth-ratio", "FHKST66430800", "grs bsop_prfi_inrt equt_inrt totl_aset_inrt"),
        )
    ),
    Endpoint(
        "4.7", "/finance/income-statement", "FHKST66430200", False, FINANCE,
        {"output": Container("array", "stac_yymm# sale_account% sale_cost% sale_totl_prfi# depr_cost% sell_mang% "
            "bsop_prti% bsop_non_ernn% bsop_non_expn% op_prfi% spec_prfi% spec_loss% thtr_ntin%")},
    ),
)  # fmt: skip

QUOTATIONS: tuple[Endpoint, ...] = SCREENING + QUOTES + CHARTS + REFERENCE
"""Every read of kis-protocol 4.2-4.4 and 4.7 that a trading system needs."""
