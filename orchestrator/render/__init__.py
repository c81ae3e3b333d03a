"""Words: sandboxed templates, conditions, locales, SMS parts."""

from orchestrator.render.conditions import Conditions, Expression
from orchestrator.render.problems import (
    ConditionError,
    TemplateProblem,
    TemplateProblems,
    Unrenderable,
)
from orchestrator.render.sms import SmsCount, count
from orchestrator.render.templates import RenderContext, Rendered, TemplateSet
from orchestrator.render.texts import Text, Texts

__all__ = [
    "ConditionError",
    "Conditions",
    "Expression",
    "RenderContext",
    "Rendered",
    "SmsCount",
    "TemplateProblem",
    "TemplateProblems",
    "TemplateSet",
    "Text",
    "Texts",
    "Unrenderable",
    "count",
]
