"""The words on the generated pages: licence texts and package documentation, and Portuguese.

English: the licence files and descriptions of the installed packages that misstep depends on, so
every machine with the dependencies has it. Portuguese: sentences of offices and registers written
for these pages, since no dependency ships Portuguese text. Characters outside `ALPHABET` are left
out of the pages, so a model with a token for each of its characters can write all of them.
"""

from __future__ import annotations

import functools
import random
import re
import unicodedata
from importlib import metadata
from pathlib import Path

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
ACCENTS = "áâãàçéêíóôõúÁÂÃÇÉÊÍÓÔÕÚº§"
ALPHABET = LETTERS + "0123456789" + " .,;:!?()[]/%$&*+-='_#@" + ACCENTS

PACKAGES = ("torch", "transformers", "numpy", "pandas", "pyarrow", "peft", "trl", "regex", "click")
"""Whose licences and descriptions are read; one that is missing is left out."""


def _listed(text: str) -> list[str]:
    return text.split()


SENTENCES = """
O presente termo foi lavrado nesta data, em duas vias de igual teor e forma, na presença das
testemunhas que também o assinam. A secretaria certifica que o requerimento deu entrada no
protocolo geral e foi distribuído à terceira vara cível da comarca. O juízo determinou a citação
do réu para contestar a ação no prazo de quinze dias. Fica o contribuinte notificado a recolher o
imposto devido até o último dia útil do mês. A comissão de licitação declarou habilitadas as
empresas que apresentaram a documentação exigida no edital. O tabelião reconheceu a firma do
vendedor e registrou a escritura no livro de notas. Os autos foram remetidos ao Ministério Público
para parecer. A prefeitura municipal torna pública a relação dos candidatos aprovados no concurso.
O conselho aprovou por unanimidade as contas do exercício anterior. Não havendo mais nada a tratar,
o presidente encerrou a sessão e mandou lavrar a presente ata. A viagem começou ao amanhecer, quando
a neblina ainda cobria o vale e os bois desciam para o rio. Minha avó guardava as cartas numa caixa
de papelão, amarradas com uma fita azul. O armazém vendia feijão, açúcar, café, sabão e querosene.
Choveu durante três dias, e a ponte de madeira não resistiu à força da água. O médico recomendou
repouso, chá de erva cidreira e nenhuma preocupação. Na manhã seguinte, o capitão ordenou que se
içassem as velas e rumou para o sul. A lavoura de cana ocupava toda a encosta até a beira da
estrada. Cumpra-se a decisão, publique-se e intimem-se as partes. O valor da indenização será
corrigido a partir da data do acidente. É vedada a cobrança de taxa não prevista em lei.
"""

ITEMS = _listed("""
arroz feijão açúcar café farinha azeite vinho sal milho trigo sabão vela papel tinta prego corda
lenha carvão tecido linha agulha botão chapéu sapato telha tijolo cal areia cimento vidro porta
janela mesa cadeira banco armário lâmpada fio cabo tubo registro torneira balde enxada foice
martelo serrote alicate parafuso pão leite queijo manteiga ovos carne peixe frango batata cebola
alho tomate laranja limão banana uva pera rent water power paper ink postage freight wages repairs
insurance fuel bread milk salt sugar coffee flour cloth rope nails glass lumber seed feed tools
""")

NAMES = _listed("""
Ana Silva João Souza Maria Costa Pedro Rocha Luísa Ramos Carlos Lima Rita Alves José Pinto Clara
Nunes Paulo Dias Inês Moura Rui Castro Helena Braga Tiago Melo Sofia Reis Hugo Vaz Alice Teles
""")

FIELDS = _listed("""
Nome Data Cidade Estado CPF RG Idade Sexo Rua Bairro CEP Telefone Pai Mãe Filhos Profissão Cargo
Turno Livro Folha Termo Name Date Place Trade Street Town Ward Age Signed Witness Remarks Folio
""")

TITLES = _listed("""
Ata Termo Edital Recibo Livro Razão Protocolo Certidão Escritura Relação Inventário Boletim Ofício
Ledger Register Licence Notice Schedule Receipt Minutes Accounts Index Contents Form
""")


def clean(text: str) -> str:
    """The text in one line, only characters of `ALPHABET`, single spaces."""
    text = unicodedata.normalize("NFC", text).replace("’", "'").replace("–", "-")
    return re.sub(r"\s+", " ", "".join(c if c in ALPHABET else " " for c in text)).strip()


@functools.cache
def english() -> tuple[str, ...]:
    """Words of licences and documentation in their order."""
    texts = [text for name in (*PACKAGES, "misstep") for text in _texts(name)]
    words = clean(" ".join(texts)).split(" ")
    return tuple(word for word in words if 0 < len(word) <= 13)


def _texts(package: str) -> list[str]:
    try:
        found = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return []
    licences = [
        Path(str(found.locate_file(file)))
        for file in found.files or ()
        if "licen" in file.name.lower() and file.suffix in ("", ".txt", ".md")
    ]
    texts = [str(found.metadata.get_payload() or found.metadata.get("Description") or "")]
    for path in licences[:3]:
        if path.is_file():
            texts.append(path.read_text(encoding="utf-8", errors="ignore"))
    return [text[:40_000] for text in texts]


@functools.cache
def portuguese() -> tuple[str, ...]:
    """Words of the Portuguese sentences in their order."""
    return tuple(clean(SENTENCES).split(" "))


def words(draw: random.Random, count: int) -> list[str]:
    """`count` words that follow one another in one of the two languages."""
    source = portuguese() if draw.random() < 0.5 else english()
    start = draw.randrange(len(source))
    return [source[(start + i) % len(source)] for i in range(count)]


def amount(draw: random.Random) -> str:
    """A sum of money as a ledger writes it."""
    return f"{draw.randrange(1, 400)},{draw.choice(['00', '50', '25', '90', '75', '10'])}"
