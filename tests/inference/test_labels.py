from inference.labels import CONCLUSION_CODES, ECG_NORMAL, SNOMED_CT, SUPERCLASS_NAMES, Superclass


def test_the_superclasses_stand_in_the_order_of_the_models_outputs() -> None:
    assert [str(c) for c in Superclass] == ["NORM", "MI", "STTC", "CD", "HYP"]


def test_every_superclass_has_a_name_and_every_abnormal_one_a_code() -> None:
    assert set(SUPERCLASS_NAMES) == set(Superclass)
    assert set(CONCLUSION_CODES) == set(Superclass) - {Superclass.NORM}


def test_myocardial_infarction_is_coded_as_the_finding_of_any_age_and_never_as_acute() -> None:
    assert CONCLUSION_CODES[Superclass.MI].code == "164865005"
    assert all("acute" not in coding.display.lower() for coding in CONCLUSION_CODES.values())


def test_codes_are_distinct_snomed_ct_identifiers() -> None:
    codings = [*CONCLUSION_CODES.values(), ECG_NORMAL]
    assert len({c.code for c in codings}) == len(codings)
    assert all(c.system == SNOMED_CT and c.code.isdecimal() and c.display for c in codings)
