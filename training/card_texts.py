"""What the cards of releases say in words: intended use, limits, and of each kind of data set where it comes from."""

INTENDED_USE = (
    "Decision support on resting 12-lead ECGs of adults, for research and evaluation: probabilities of five diagnostic "
    "superclasses, to be confirmed by a clinician. No medical device: no clearance, no CE mark."
)

LIMITS = (
    "Other devices and populations than those of the training data are untested.",
    "Rhythm and pacing are not assessed. Paced rhythms and patients under 18 are outside of the intended use.",
    "MI includes old infarcts, as most of PTB-XL's are: it does not say that one is acute.",
    "Groups that are called too few to judge may be served worse without anyone having seen it.",
    "Its best epoch was chosen by its validation score, which is a little too good for that.",
    "The labels are the data set's: one or two cardiologists, partly after an automatic reading.",
)

PTBXL = "ptbxl"
PHYSIONET = "Goldberger et al., PhysioBank, PhysioToolkit, and PhysioNet, Circulation 101:e215 (2000)"

# Kind of a data set -> what a card says of it.
DATA = {
    PTBXL: {
        "source": "PTB-XL (PhysioNet), official folds: 1 to 8 train, 9 validates, 10 tests",
        "citation": "Wagner et al., PTB-XL, a large publicly available electrocardiography dataset, Sci Data 7:154 "
        f"(2020); {PHYSIONET}",
        "licence": "CC BY 4.0",
    },
    "code15": {
        "source": "CODE-15% (Zenodo), split by patient",
        "citation": "Ribeiro et al., CODE-15%: a large scale annotated dataset of 12-lead ECGs, Zenodo 4916206 (2021)",
        "licence": "CC BY 4.0",
    },
    "chapman": {
        "source": "Chapman-Shaoxing-Ningbo (PhysioNet), split by recording",
        "citation": "Zheng et al., A 12-lead electrocardiogram database for arrhythmia research covering more than "
        f"10,000 patients, Sci Data 7:48 (2020); {PHYSIONET}",
        "licence": "CC BY 4.0",
    },
    "cohort": {
        "source": "a hospital's own cohort, split by patient",
        "citation": "not published",
        "licence": "not to be passed on",
    },
}
